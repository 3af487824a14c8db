"""nodeprep: makes the kernels of Kubernetes nodes ready over SSH, and proves it."""

from invoke import Collection

from lab import tasks as lab
from tasks.apply import apply
from tasks.fix import fix
from tasks.hosts import hosts
from tasks.plan import plan
from tasks.render import render
from tasks.rollback import rollback
from tasks.verify import verify
from tasks.version import version

ns = Collection(plan, apply, verify, fix, rollback, render, hosts, version)
ns.add_collection(Collection.from_module(lab), name="lab")
