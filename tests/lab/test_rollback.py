"""apply, rollback, nothing left: the whole disk, the modules and /proc/sys of real kernels, compared."""

from __future__ import annotations

import pytest

from lab.vm.lab import Lab
from lab.vm.node import Node
from tests.lab.suite import LabSuite, loaded, value

pytestmark = pytest.mark.lab

# What a login, a clock or the kernel itself changes.
DISK = (
    "find / -xdev \\( -path /var/log -o -path /var/lib/systemd -o -path /var/lib/sudo -o -path /var/lib/private "
    "-o -path /tmp -o -path /var/tmp \\) -prune -o \\( -type d -printf '%p %m %U:%G\\n' "
    "-o ! -name .sudo_as_admin_successful -printf '%p %m %U:%G %s %T@ %l\\n' \\) | sort"
)
RUN = "ls -d /run/nodeprep* 2>/dev/null"
MODULES = "cut -d' ' -f1 /proc/modules | sort"
KEYS = (
    "sysctl -a 2>/dev/null | grep -Ev '^kernel.(random|ns_last_pid|pty.nr)|^fs.(dentry-state|inode|file-nr|aio-nr)|"
    "netdev_budget|^kernel.sched_domain|^net.ipv4.tcp_fastopen_key|perf_event_max_sample_rate|^fs.quota.'"
)


@pytest.fixture
def suite(lab: Lab, tmp_path: object) -> LabSuite:
    return LabSuite(lab, tmp_path)  # type: ignore[arg-type]


def everything(node: Node) -> list[str]:
    """All that a change of ours could leave behind, one thing a line."""
    return node.run(f"{DISK}; {RUN}; {MODULES}; {KEYS}").stdout.splitlines()


def differences(one: list[str], other: list[str]) -> set[str]:
    return set(one) ^ set(other)


def test_apply_and_rollback_leave_nothing(suite: LabSuite) -> None:
    """For root, and for a user with sudo."""
    nodes = suite.lab.nodes[:2]
    for node in nodes:
        node.reset()
    before = {node.name: everything(node) for node in nodes}
    assert set(suite.fab("apply", on="lab-1,lab-2").statuses.values()) == {"changed"}
    for node in nodes:
        assert "br_netfilter" in loaded(node)

    planned = suite.fab("rollback", "--plan", on="lab-1,lab-2")
    assert (planned.code, set(planned.statuses.values())) == (0, {"drift"}), planned.text
    done = suite.fab("rollback", on="lab-1,lab-2")
    assert (done.code, set(done.statuses.values())) == (0, {"changed"}), done.text
    for node in nodes:
        assert differences(before[node.name], everything(node)) == set()


def test_a_rollback_takes_back_lines_and_repairs_and_an_earlier_run(suite: LabSuite) -> None:
    """Twice changed, with a line of someone else's commented out: one step back, then the rest, then nothing."""
    node = suite.lab.nodes[0]
    node.reset()
    node.run("printf '# mine\\nnet.core.somaxconn = 77\\n' > /etc/sysctl.d/zz-late.conf; sysctl -w vm.swappiness=41")
    before = everything(node)
    assert suite.fab("apply", "--comment-out-conflicts", on="lab-1").code == 0
    assert suite.fab("fix", "vm.swappiness=10", on="lab-1").code == 0

    assert suite.fab("rollback", on="lab-1").statuses == {"lab-1": "changed"}
    assert value(node, "vm.swappiness") == "41"
    assert suite.fab("verify", on="lab-1").code == 0

    assert suite.fab("rollback", on="lab-1").statuses == {"lab-1": "changed"}
    left = {line.split()[0] for line in differences(before, everything(node))}
    assert left == {"/etc/sysctl.d/zz-late.conf"}, "its time: it was written twice"
    assert node.run("cat /etc/sysctl.d/zz-late.conf").stdout == "# mine\nnet.core.somaxconn = 77\n"
    assert suite.fab("rollback", on="lab-1").statuses == {"lab-1": "ok"}


def test_a_module_in_use_is_told_and_a_second_rollback_finishes(suite: LabSuite) -> None:
    """An overlay is mounted: its module cannot go. The files are gone all the same, and the snapshot is kept."""
    node = suite.lab.nodes[0]
    node.reset()
    before = everything(node)
    assert suite.fab("apply", on="lab-1").code == 0
    node.run("mkdir -p /tmp/o/l /tmp/o/u /tmp/o/w /tmp/o/m")
    node.run("mount -t overlay none -o lowerdir=/tmp/o/l,upperdir=/tmp/o/u,workdir=/tmp/o/w /tmp/o/m")
    done = suite.fab("rollback", on="lab-1")
    assert (done.code, done.statuses) == (4, {"lab-1": "failed"})
    wrong = done.items("lab-1", wrong=True)
    assert {name for name, item in wrong.items() if item["status"] == "drift"} == {"overlay"}
    assert "in use" in wrong["overlay"]["why"]
    node.run("umount /tmp/o/m; rm -rf /tmp/o")
    assert suite.fab("rollback", on="lab-1").statuses == {"lab-1": "changed"}
    assert differences(before, everything(node)) == set()
