from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from lab.vm.identity import OPERATOR_PASSWORD, USERS
from lab.vm.lab import Lab
from lab.vm.state import load
from tests.lab.conftest import RELEASE_PORTS

pytestmark = pytest.mark.lab


def test_every_node_is_a_machine_of_its_own(lab: Lab) -> None:
    """Names, machine ids and boots differ, and the kernel is bookworm's."""
    seen = [node.run("hostname; cat /etc/machine-id; uname -r") for node in lab.nodes]
    names, machines, kernels = zip(*(done.stdout.split() for done in seen), strict=True)
    assert list(names) == ["lab-1", "lab-2", "lab-3"]
    assert len(set(machines)) == 3
    assert all(kernel.startswith("6.1.") for kernel in kernels)


@pytest.mark.parametrize("user", USERS)
def test_users_log_in_with_the_key(lab: Lab, user: str) -> None:
    """Each of the three, on a node whose first user is another."""
    assert lab.nodes[1].run("id -un", user=user).stdout == f"{user}\n"


def test_admin_needs_no_password_for_sudo(lab: Lab) -> None:
    assert lab.nodes[1].run("sudo -n id -u", user="admin").stdout == "0\n"


def test_operator_needs_a_password_for_sudo(lab: Lab) -> None:
    """Refused without one and with a wrong one, root with the documented one."""
    node = lab.nodes[2]
    assert node.run("sudo -n id -u", user="operator").returncode == 1
    assert node.run("sudo -S id -u", user="operator", stdin="wrong\n").returncode == 1
    assert node.run("sudo -S id -u", user="operator", stdin=f"{OPERATOR_PASSWORD}\n").stdout == "0\n"


def test_passwords_do_not_open_ssh(lab: Lab) -> None:
    done = lab.nodes[2].run("sshd -T | grep '^passwordauthentication'")
    assert done.stdout == "passwordauthentication no\n"


def test_modules_load_and_the_boot_was_clean(lab: Lab) -> None:
    node = lab.nodes[0]
    assert node.run("modprobe ip_vs && test -d /sys/module/ip_vs").returncode == 0
    assert node.run("systemctl --failed --no-legend").stdout == ""


def test_a_node_reaches_nothing_outside(lab: Lab) -> None:
    """Not even a listener on the machine that runs it."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        done = lab.nodes[0].run(f"timeout 5 bash -c 'echo > /dev/tcp/10.0.2.2/{port}'")
    assert done.returncode != 0


def test_reboot_is_a_new_boot_of_the_same_disk(lab: Lab) -> None:
    node = lab.nodes[0]
    before = node.boot_id()
    node.run("echo kept > /etc/lab-kept && sync")
    node.reboot()
    assert node.boot_id() != before
    assert node.run("cat /etc/lab-kept").stdout == "kept\n"


def test_a_power_cut_keeps_what_was_synced_and_a_reset_keeps_nothing(lab: Lab) -> None:
    node = lab.nodes[1]
    node.run("echo kept > /etc/lab-kept && sync")
    node.kill()
    assert not node.alive()
    node.start()
    assert node.run("cat /etc/lab-kept").stdout == "kept\n"
    node.reset()
    assert node.run("test -e /etc/lab-kept").returncode == 1


def test_copies_of_a_frozen_node_go_on_where_it_was_as_machines_of_their_own(tmp_path: Path) -> None:
    """What was in its memory and not on its disk is there; what one copy does, the other does not see. No process and
    no file is left at the lab's end."""
    folder = tmp_path / "frozen"
    with Lab(folder, "busybox", count=1, port_base=RELEASE_PORTS) as short:
        frozen = short.nodes[0]
        frozen.run("echo here > /run/kept; echo 4711 > /proc/sys/kernel/pid_max")
        boot = frozen.boot_id()
        frozen.freeze()
        assert not frozen.alive()

        one, other = short.thaw(frozen, 2)
        assert [node.boot_id() for node in (one, other)] == [boot, boot]
        assert one.run("cat /run/kept /proc/sys/kernel/pid_max; hostname").stdout == "here\n4711\nlab-2\n"
        assert one.run("cat /etc/machine-id").stdout != other.run("cat /etc/machine-id").stdout
        assert abs(float(other.run("date +%s").stdout) - time.time()) < 5
        one.run("echo mine > /etc/mine && sync")
        one.reboot()
        assert one.run("cat /etc/mine; ls /run/kept").stdout == "mine\n"
        assert other.run("ls /etc/mine").returncode != 0

        short.drop([one])
        assert [node.name for node in short.nodes] == ["lab-1", "lab-3"]
        assert not one.alive()
        assert not one.folder.exists()
        process = load(folder)[1].process
        assert process is not None
        assert process.alive()
    assert not process.alive()
    assert not folder.exists()
