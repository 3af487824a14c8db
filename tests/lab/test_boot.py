"""What apply does about lines of other files that would win at the next boot; see also test_releases.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.vm.lab import Lab
from tests.lab.suite import LabSuite, loaded, value

pytestmark = pytest.mark.lab


@pytest.fixture
def suite(lab: Lab, tmp_path: Path) -> LabSuite:
    return LabSuite(lab, tmp_path)


def test_take_over_comments_out_what_would_win_and_the_reboot_agrees(suite: LabSuite) -> None:
    """Without the flag apply says what stays wrong and exits 4; with it exactly those lines go."""
    node = suite.lab.nodes[1]
    node.reset()
    node.run("printf '# mine\\nnet.core.somaxconn = 77\\nvm.swappiness = 10\\n' > /etc/sysctl.d/zz-late.conf")
    node.run("echo blacklist br_netfilter > /etc/modprobe.d/x.conf")

    left = suite.fab("apply", on="lab-2")
    assert (left.code, left.statuses) == (4, {"lab-2": "failed"})
    faded = {name for name, item in left.items("lab-2").items() if item["status"] == "boot-drift"}
    assert faded >= {"net.core.somaxconn", "br_netfilter"}
    assert {item["status"] for item in left.items("lab-2").values()} == {"boot-drift", "changed", "ok"}
    assert "/etc/sysctl.d/zz-late.conf:2" in left.items("lab-2")["net.core.somaxconn"]["why"]

    taken = suite.fab("apply", "--comment-out-conflicts", on="lab-2")
    assert (taken.code, taken.statuses) == (0, {"lab-2": "changed"}), taken.text
    assert node.run("cat /etc/sysctl.d/zz-late.conf /etc/modprobe.d/x.conf").stdout == (
        "# mine\n# taken over by nodeprep: net.core.somaxconn = 77\nvm.swappiness = 10\n"
        "# taken over by nodeprep: blacklist br_netfilter\n"
    )
    node.reboot()
    assert suite.fab("verify", on="lab-2").code == 0
    assert value(node, "net.core.somaxconn") == "32768"
    assert "br_netfilter" in loaded(node)
