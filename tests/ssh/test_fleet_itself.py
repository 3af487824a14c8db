"""The fleet keeps its promises, seen with the OpenSSH client."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet.fleet import PASSWORD, RELEASE, USERS, Fleet, FleetError, NodeSpec
from lab.fleet.tools import wait_until

ROOT = Path(__file__).parents[2]
FORWARD = "/proc/sys/net/ipv4/ip_forward"


def command(fleet: Fleet, host: str, *words: str, user: str = "root", options: tuple[str, ...] = ()) -> list[str]:
    inside = ["ip", "netns", "exec", fleet.netns] if fleet.netns else []
    return [*inside, "ssh", "-F", str(fleet.client / "ssh_config"), *options, f"{user}@{host}", *words]


def ssh(
    fleet: Fleet, host: str, script: str, *, user: str = "root", stdin: str = "", options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    line = command(fleet, host, script, user=user, options=options)
    return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=30, check=False)


def said(fleet: Fleet, host: str, script: str, **more: str) -> str:
    done = ssh(fleet, host, script, **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- users ----


@pytest.mark.parametrize("user", ["root", *USERS])
def test_every_user_logs_in(fleet: Fleet, user: str) -> None:
    if user == "fishy" and not shutil.which("fish"):
        pytest.skip("fish is not installed")
    assert said(fleet, fleet.hosts[0], "id -un", user=user).split()[-1] == user


def test_login_shells(fleet: Fleet) -> None:
    host = fleet.hosts[0]
    assert ssh(fleet, host, "echo $FISH_VERSION", user="fishy").stdout.strip() or not shutil.which("fish")
    chatty = ssh(fleet, host, "true", user="chatty")
    assert chatty.stdout
    assert chatty.stderr
    assert ssh(fleet, host, "true", user="admin").stdout == ""


def test_sudo_without_a_password(fleet: Fleet) -> None:
    assert said(fleet, fleet.hosts[0], "sudo -n id -u", user="admin") == "0\n"
    assert ssh(fleet, fleet.hosts[0], "sudo -n id -u", user="operator").returncode == 1


def test_sudo_with_the_right_and_the_wrong_password(fleet: Fleet) -> None:
    ask = "sudo -k -S -p X id -u"
    right = ssh(fleet, fleet.hosts[0], ask, user="operator", stdin=f"{PASSWORD}\n")
    assert (right.returncode, right.stdout) == (0, "0\n")
    assert right.stderr.startswith("X")
    wrong = ssh(fleet, fleet.hosts[0], ask, user="operator", stdin="wrong\n")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Sorry, try again" in wrong.stderr


def test_a_user_who_is_not_in_sudoers(fleet: Fleet) -> None:
    done = ssh(fleet, fleet.hosts[0], "sudo -S -p X true", user="nosudo", stdin=f"{PASSWORD}\n")
    assert done.returncode == 1
    assert "not in the sudoers file" in done.stderr


# ---- a node's own state ----


def test_each_node_is_somebody(fleet: Fleet) -> None:
    asked = "hostname; uname -n; cat /etc/hostname /proc/sys/kernel/hostname; cat /etc/machine-id"
    answers = [said(fleet, host, asked).split() for host in fleet.hosts]
    assert [answer[:4] for answer in answers] == [[f"node-{n}"] * 4 for n in (1, 2, 3)]
    assert len({answer[4] for answer in answers}) == 3
    assert len({fleet.host_key(host) for host in fleet.hosts}) == 3


def test_the_kernel_is_the_fleets(fleet: Fleet) -> None:
    asked = "uname -r; sysctl -n kernel.osrelease; ls /lib/modules; cat /proc/sys/net/ipv4/ip_local_reserved_ports"
    assert said(fleet, fleet.hosts[0], asked).splitlines() == [RELEASE, RELEASE, RELEASE, ""]
    assert "MemTotal" in said(fleet, fleet.hosts[0], "cat /proc/meminfo /proc/cpuinfo /proc/cmdline")


def test_sysctl_changes_one_node(fleet: Fleet) -> None:
    first, second, _ = fleet.hosts
    fleet.write(first, "/etc/sysctl.d/50-test.conf", "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_mem = 1 2 3\n")
    assert said(fleet, first, "sysctl -q -p /etc/sysctl.d/50-test.conf; sysctl -n net.ipv4.ip_forward") == "1\n"
    assert fleet.read(first, FORWARD) == "1\n"
    assert (fleet.root(first) / FORWARD[1:]).read_text() == "1\n"
    assert fleet.read(first, "/proc/sys/net/ipv4/tcp_mem") == "1 2 3\n"
    assert fleet.read(second, FORWARD) == "0\n"


def test_nothing_of_this_machines_settings_is_seen(fleet: Fleet) -> None:
    asked = "sysctl --system | grep -v '^[*]' | cut -d' ' -f1 | sort"
    protected = [f"fs.protected_{kind}" for kind in ("fifos", "hardlinks", "regular", "symlinks")]
    assert said(fleet, fleet.hosts[2], asked).split() == [*protected, "kernel.pid_max"]
    assert said(fleet, fleet.hosts[2], "ls -A /root /home /run/sysctl.d /etc/modprobe.d /tmp /.dockerenv 2>&1 | wc -l")


def test_write_and_read_follow_links_inside_the_node(fleet: Fleet) -> None:
    host = fleet.hosts[2]
    said(fleet, host, "ln -s /run/../run/fleet-test /etc/fleet-test")
    fleet.write(host, "/etc/fleet-test", "here\n")
    assert said(fleet, host, "cat /run/fleet-test") == "here\n"
    assert not Path("/run/fleet-test").exists()
    assert fleet.read(host, "/var/run/fleet-test") == "here\n"


def test_snapshot_shows_writing_and_only_writing(fleet: Fleet) -> None:
    host = fleet.hosts[2]
    before = fleet.snapshot(host)
    for user in ("root", "admin", "fishy"):
        ssh(fleet, host, "cat /etc/hostname; sysctl -a; ls -la /etc", user=user)
    said(fleet, host, "sudo -n true", user="admin")
    assert fleet.snapshot(host) == before
    said(fleet, host, "echo new >/etc/new; chmod 600 /etc/hosts; rm /etc/modules; echo 5 >/proc/sys/vm/swappiness")
    after = fleet.snapshot(host)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {"/etc/new", "/etc/hosts", "/etc/modules", "/proc/sys/vm/swappiness"}
    assert after["/etc/new"][1] == "new\n"


# ---- modprobe ----


def test_modprobe_brings_keys_and_dependencies(fleet: Fleet) -> None:
    host = fleet.hosts[0]
    key = fleet.root(host) / "proc/sys/net/bridge/bridge-nf-call-iptables"
    assert not key.exists()
    assert said(fleet, host, "modprobe -- br_netfilter && cat /proc/modules | cut -d' ' -f1").split()[-4:] == [
        "llc",
        "stp",
        "bridge",
        "br_netfilter",
    ]
    assert key.read_text() == "0\n"
    assert (
        said(fleet, host, "modprobe -a ip-vs ip_vs_rr overlay; sysctl -n net.netfilter.nf_conntrack_max") == "262144\n"
    )


def test_modprobe_of_what_is_not_there(fleet: Fleet) -> None:
    done = ssh(fleet, fleet.hosts[1], "modprobe nf_conntrack_ipv4")
    message = f"modprobe: FATAL: Module nf_conntrack_ipv4 not found in directory /lib/modules/{RELEASE}\n"
    assert (done.returncode, done.stderr) == (1, message)
    quiet = ssh(fleet, fleet.hosts[1], "modprobe -qab nf_conntrack_ipv4 nf_tables")
    assert (quiet.returncode, quiet.stderr) == (1, "")
    assert "nf_tables " in fleet.read(fleet.hosts[1], "/proc/modules")


def test_modprobe_only_says_what_it_would_do(fleet: Fleet) -> None:
    host = fleet.hosts[1]
    before = fleet.read(host, "/proc/modules")
    assert said(fleet, host, "modprobe -n ip_vs_sh; modprobe ext4") == ""
    insmod = said(fleet, host, "modprobe -nv ip_vs_sh").splitlines()
    assert insmod[-1] == f"insmod /lib/modules/{RELEASE}/kernel/net/netfilter/ipvs/ip_vs_sh.ko.xz "
    assert fleet.read(host, "/proc/modules") == before


def test_modprobe_heeds_modprobe_d(fleet: Fleet) -> None:
    host = fleet.hosts[1]
    fleet.write(host, "/etc/modprobe.d/test.conf", "blacklist overlay\ninstall ip_vs_wlc /bin/true\n")
    said(fleet, host, "modprobe -b overlay; modprobe ip_vs_wlc")
    assert "overlay" not in fleet.read(host, "/proc/modules")
    assert "ip_vs_wlc" not in fleet.read(host, "/proc/modules")


def test_modprobe_needs_root(fleet: Fleet) -> None:
    done = ssh(fleet, fleet.hosts[1], "/sbin/modprobe ip_vs_wrr", user="admin")
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr


# ---- what a test can vary, and see ----


def test_counters(fleet: Fleet) -> None:
    host = fleet.hosts[1]
    everywhere, here = fleet.connections(), fleet.connections(host)
    fleet.settle()
    spent = fleet.cpu()
    for _ in range(3):
        said(fleet, host, "true")
    fleet.settle()
    assert fleet.connections(host) - here == fleet.connections() - everywhere == 3
    assert fleet.cpu() > spent
    assert fleet.processes() == []


def test_settle_does_not_wait_for_ever(fleet: Fleet) -> None:
    session = subprocess.Popen(command(fleet, fleet.hosts[0], "echo on; exec cat"), stdin=subprocess.PIPE)
    try:
        wait_until(lambda: bool(fleet.processes()), "the session starts")
        with pytest.raises(FleetError, match="still run"):
            fleet.settle(0.2)
    finally:
        session.communicate()
    fleet.settle()


def test_addresses_that_do_not_answer(fleet: Fleet) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(fleet.dead_address(), timeout=5)
    with socket.create_connection(fleet.silent_address(), timeout=5) as silent:
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.recv(1)


def test_another_host_key_is_noticed() -> None:
    with Fleet(2) as fleet:
        new = fleet.replace_host_key(fleet.hosts[0])
        assert new != fleet.host_key(fleet.hosts[0])
        refused = ssh(fleet, fleet.hosts[0], "true")
        assert refused.returncode == 255
        assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr
        assert said(fleet, fleet.hosts[1], "echo fine") == "fine\n"


@pytest.fixture(scope="module")
def special() -> Iterator[Fleet]:
    nodes = [
        NodeSpec(banner="Go away\n", sftp=False, shell="/bin/sh"),
        NodeSpec(read_only_sys=True, files={"/proc/meminfo": "MemTotal: 1 kB\n", "/lib/modules/here": "1"}),
        NodeSpec(max_startups="1:100:1"),
        NodeSpec(sshd_config=("MaxSessions 0",)),
    ]
    with Fleet(4, nodes=nodes) as fleet:
        yield fleet


def test_banner_sftp_and_shell(special: Fleet) -> None:
    host = special.hosts[0]
    done = ssh(special, host, "echo $SHELL $0", options=("-o", "LogLevel=INFO"))
    assert (done.stdout, done.stderr) == ("/bin/sh sh\n", "Go away\n")
    assert ssh(special, host, "sftp", options=("-s",)).returncode != 0
    assert ssh(special, special.hosts[1], "sftp", options=("-s",)).returncode == 0


def test_read_only_sys_and_files(special: Fleet) -> None:
    host = special.hosts[1]
    assert said(special, host, "cat /proc/meminfo /lib/modules/here") == "MemTotal: 1 kB\n1"
    assert "Read-only" in ssh(special, host, f"echo 1 >{FORWARD}").stderr


def test_max_startups(special: Fleet) -> None:
    host = special.hosts[2]
    with socket.create_connection((host, special.port), timeout=5) as first:
        assert first.recv(4) == b"SSH-"
        assert ssh(special, host, "true").returncode == 255
    wait_until(lambda: ssh(special, host, "true").returncode == 0, "a place is free again")
    special.settle()


def test_more_lines_for_sshd(special: Fleet) -> None:
    assert ssh(special, special.hosts[3], "true").returncode == 255


def test_a_count_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="0 nodes"):
        Fleet(0)
    with pytest.raises(ValueError, match="1 nodes, of which 2"):
        Fleet(1, nodes=[NodeSpec(), NodeSpec()])


# ---- several fleets, and their end ----


def test_two_fleets_at_once() -> None:
    with Fleet(2) as one, Fleet(2) as other:
        assert not {*one.hosts} & {*other.hosts}
        said(one, one.hosts[0], f"echo 1 >{FORWARD}")
        assert one.read(one.hosts[0], FORWARD) == "1\n"
        assert other.read(other.hosts[0], FORWARD) == "0\n"
        assert said(other, other.hosts[0], "hostname") == "node-1\n"


def _namespaced(server: int) -> set[str]:
    """The PID and mount namespaces that a fleet's processes live in."""
    return {str(Path(f"/proc/{server}/ns/{kind}").readlink()) for kind in ("pid", "mnt")}


def _inhabitants(namespaces: set[str]) -> list[str]:
    """All processes of this machine that live in one of these namespaces."""
    found = []
    for kind in ("pid", "mnt"):
        for link in Path("/proc").glob(f"[0-9]*/ns/{kind}"):
            with contextlib.suppress(OSError):
                found += [str(link)] if str(link.readlink()) in namespaces else []
    return found


def _mounted(state: Path) -> bool:
    return str(state) in Path("/proc/self/mountinfo").read_text()


def test_nothing_is_left() -> None:
    session = None
    try:
        with Fleet(2) as fleet:
            state, namespaces = fleet.state, _namespaced(fleet.server)
            script = "nohup sleep 1000 >/dev/null 2>&1 & echo on; exec cat"
            session = subprocess.Popen(
                command(fleet, fleet.hosts[0], script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert session.stdout
            assert session.stdout.readline() == "on\n"
            assert _inhabitants(namespaces)
        assert _inhabitants(namespaces) == []
        assert not state.exists()
        assert not _mounted(state)
        assert session.wait(10) == 255
    finally:
        if session:
            session.kill()
            session.communicate()


def test_nothing_is_left_after_a_failure() -> None:
    with pytest.raises(KeyError, match="nobody"), Fleet(1) as fleet:
        state = fleet.state
        fleet.read("nobody", "/etc/hostname")
    assert not state.exists()


def test_nothing_is_left_when_a_start_fails() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        fleet = Fleet(1, nodes=[NodeSpec(max_startups="nonsense")], directory=Path(folder))
        with pytest.raises(FleetError, match=r"has ended: .*Invalid MaxStartups"), fleet:
            pass
        assert list(Path(folder).iterdir()) == []


def test_a_state_folder_that_cannot_carry_an_overlay(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot mount an overlay"), Fleet(1, directory=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_killed_run() -> None:
    program = (
        "import sys; from lab.fleet.fleet import Fleet\n"
        "with Fleet(2) as fleet: print(fleet.state, fleet.server, flush=True); input()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout
    state, server = run.stdout.readline().split()
    namespaces = _namespaced(int(server))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    wait_until(lambda: not Path(state).exists() and not _inhabitants(namespaces), "the fleet ends with its parent")


def test_a_silent_node_takes_connections_and_says_nothing_until_it_may() -> None:
    with Fleet(1) as fleet:
        host = fleet.hosts[0]
        fleet.silence(host)
        with socket.create_connection((host, fleet.port), timeout=5) as client:
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
        fleet.settle()
        fleet.silence(host, silent=False)
        assert said(fleet, host, "hostname") == "node-1\n"
        assert fleet.connections(host) == 2


# ---- far away ----


def test_a_wire_with_a_delay() -> None:
    with Fleet(2, rtt_ms=50) as fleet:
        netns = fleet.netns
        assert netns
        assert said(fleet, fleet.hosts[1], "hostname") == "node-2\n"
        assert fleet.connections() == 1
        assert _round_trip(netns, fleet) >= 0.05
        silent = ["ip", "netns", "exec", netns, "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/$0/$1; read -r x <&3"]
        assert subprocess.run([*silent, *map(str, fleet.silent_address())], check=False).returncode == 124
    assert not Path("/run/netns", netns).exists()
    assert '"dropped": 0' in fleet.wire_report


def _round_trip(netns: str, fleet: Fleet) -> float:
    """How long a connection that is refused takes, as a client of the fleet sees it."""
    code = (
        "import socket, sys, time; start = time.monotonic()\n"
        "error = socket.socket().connect_ex((sys.argv[1], int(sys.argv[2])))\n"
        "print(error, time.monotonic() - start)"
    )
    line = ["ip", "netns", "exec", netns, sys.executable, "-c", code, *map(str, fleet.dead_address())]
    error, seconds = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    assert int(error) == 111
    return float(seconds)


def test_fleets_of_threads() -> None:
    """A fleet ends with the thread that started it, so each thread closes its own."""
    names: list[str] = []

    def one() -> None:
        with Fleet(1) as fleet:
            names.append(said(fleet, fleet.hosts[0], "hostname"))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["node-1\n"] * 3
