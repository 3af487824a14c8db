"""The verbs as fabfile.py declares them."""

from __future__ import annotations

from dataclasses import replace

import fabfile
from tasks.cli.executor import FleetTask
from tasks.core.verb import Verb

VERBS: dict[str, Verb] = {name: task.verb for name, task in fabfile.ns.tasks.items() if isinstance(task, FleetTask)}
ROLLBACK_PLAN = replace(VERBS["rollback"], name="rollback --plan", writes=False)
