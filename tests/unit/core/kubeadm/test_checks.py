"""The checks before kubeadm join: facts in, items out; and the same from a node with a real shell."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fleet import kernel
from tasks.core.errors import UsageError
from tasks.core.host import Host
from tasks.core.kubeadm import checks as join
from tasks.core.kubeadm import system
from tasks.core.kubeadm.names import IMPLEMENTED, LEFTOVERS
from tasks.core.plan.desired import resolve
from tasks.core.result import Item, NodeResult
from tasks.node import orders as instructions
from tasks.node import steps as node
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tests.support.builders import facts, host, profile, rendered
from tests.support.shells import SHELLS, Machine, Shell, no_namespaces

OPTIONS = tuple(f"CONFIG_{name}=y" for name in system.KERNEL_OPTIONS.split("|") if name != "IP_NF_TARGET_REDIRECT")
READY: dict[str, str] = {
    "kernel.hostname": "n1",
    "net.ipv4.ip_forward": "1",
    join.SWAPS: "Filename Type Size Used Priority",
    system.V2: "cpuset cpu io memory hugetlb pids rdma misc",
    join.MACHINE_ID: "0123456789abcdef0123456789abcdef",
    "/proc/meminfo": "MemTotal: 4000000 kB",
    "/sys/devices/system/cpu/online": "0-3",
}
CONTAINERD = kernel.CONTAINERD
FORWARD = "FileContent--proc-sys-net-ipv4-ip_forward"
FORWARD6 = "FileContent--proc-sys-net-ipv6-conf-default-forwarding"
BRIDGE = "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"


def listening(port: int, address: str = "00000000") -> str:
    return f"   1: {address}:{port:04X} {'0' * len(address)}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1146 1"


def found(
    changes: dict[str, str | None] | None = None,
    *,
    on: Host | None = None,
    listeners: tuple[str, ...] = (CONTAINERD,),
    options: tuple[str, ...] = ("r/boot/config-6.1.0-13-amd64", *OPTIONS),
    sysctl: str | None = None,
    modules: str | None = None,
    ignore: str = "",
    **more: Any,
) -> dict[str, Item]:
    """The checks of a node that is ready but for these changes of its values; None: absent."""
    values = {name: text for name, text in {**READY, **(changes or {})}.items() if text is not None}
    seen = facts(values, more={"options": options, "listeners": listeners}, **more)
    desired = resolve([rendered(sysctl, modules)], seen)
    names = frozenset(ignore.lower().split(",")) if ignore else frozenset()
    return {item.name: item for item in join.checks(on or host(), seen, desired, names)}


def wrong(items: dict[str, Item]) -> dict[str, str]:
    """What is not right, by name: its status."""
    return {name: str(item.status) for name, item in items.items() if item.status != "ok"}


def in_groups(*groups: str, **variables: object) -> Host:
    return Host("n1", "192.0.2.1", groups=groups, variables=variables)


def test_a_node_that_is_ready_passes_every_check() -> None:
    items = found()
    assert wrong(items) == {}
    assert set(items) == {
        *("CRI", "Swap", "SystemVerification", "Hostname", FORWARD, "Port-10250", "Port-10256"),
        *(f"FileAvailable--etc-kubernetes-{name}" for name in ("kubelet.conf", "bootstrap-kubelet.conf", "pki-ca.crt")),
    }


@pytest.mark.parametrize(
    ("on", "ports"),
    [
        (host(), {10250, 10256}),
        (in_groups("kube_control_plane", "etcd"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("kube_control_plane", "kube_node"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("kube_master"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("etcd"), {2379, 2380}),
        (in_groups("etcd", "kube_node"), {10250, 10256}),
        (in_groups("kube_control_plane", kubeadm_role="worker"), {10250, 10256}),
        (host(kubeadm_role="control-plane"), {6443, 10250, 10257, 10259, 2379, 2380}),
    ],
)
def test_the_ports_are_those_of_the_nodes_part_in_the_cluster(on: Host, ports: set[int]) -> None:
    taken = found(on=on, listeners=(CONTAINERD, *map(listening, (1, 2379, 2380, 6443, 10250, 10256, 10257, 10259))))
    assert {name for name in taken if name.startswith("Port-")} == {f"Port-{port}" for port in ports}
    assert all(taken[f"Port-{port}"].status == ("advisory" if port == 10256 else "drift") for port in ports)
    assert wrong(found(on=on)) == {}


@pytest.mark.parametrize("given", ["master", ["worker"], 1])
def test_a_part_that_no_node_has_is_a_usage_error(given: object) -> None:
    with pytest.raises(UsageError, match="host n1: kubeadm_role: expected one of control-plane, worker, etcd"):
        join.role(host(kubeadm_role=given))


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (listening(10250, "0100007F"), True),
        (listening(10250, "0" * 32), True),
        (listening(10250).replace(" 0A ", " 01 "), False),  # an outgoing connection of that port
        (listening(10251), False),
        ("nonsense :280A 0A", False),
    ],
)
def test_a_port_is_taken_where_somebody_listens_on_any_address(line: str, taken: bool) -> None:
    assert wrong(found(listeners=(CONTAINERD, line))) == ({"Port-10250": "drift"} if taken else {})


@pytest.mark.parametrize("path", join.JOINED)
def test_a_node_that_has_joined_is_not_asked_for_free_ports(path: str) -> None:
    items = found(hidden=[path], listeners=(CONTAINERD, listening(10250)), on=in_groups("kube_control_plane"))
    left_out = {name for name, status in wrong(items).items() if status == "skipped"}
    assert left_out == {name for name in items if name.startswith(("Port-", "FileAvailable-"))} == set(wrong(items))
    assert items["Port-10250"].why == f"already joined: {path} is there"


def test_what_a_join_that_failed_left_behind_is_named() -> None:
    items = found(hidden=["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/bootstrap-kubelet.conf"])
    assert set(wrong(items).values()) == {"drift"}
    assert {item.next_step for name, item in items.items() if name in wrong(items)} == {
        "a join ended half-way, or the node left its cluster: kubeadm reset"
    }
    certificates = found(hidden=["/etc/kubernetes/pki/ca.crt"], on=in_groups("kube_control_plane"))
    assert wrong(certificates) == {}


@pytest.mark.parametrize(
    ("paths", "status", "got"),
    [
        ((), "drift", "none"),
        (("/run/containerd/containerd.sock.ttrpc", "/run/docker.sock"), "drift", "none"),
        (("/var/run/crio/crio.sock",), "ok", "CRI-O"),
        (("/run/cri-dockerd.sock",), "ok", "cri-dockerd"),
        (("/run/cri-dockerd.sock", "/run/containerd/containerd.sock"), "advisory", "containerd and cri-dockerd"),
    ],
)
def test_a_container_runtime_is_one_that_listens(paths: tuple[str, ...], status: str, got: str) -> None:
    lines = tuple(CONTAINERD.replace("/run/containerd/containerd.sock", path) for path in paths)
    item = found(listeners=lines)["CRI"]
    assert (str(item.status), item.got) == (status, got)
    assert ("--ignore CRI" in item.next_step) is (status == "drift")


def test_swap_is_advisory() -> None:
    swaps = "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n/swap file 1 0 -3"
    items = found({join.SWAPS: swaps})
    assert wrong(items) == {"Swap": "advisory"}
    assert items["Swap"].got == "/dev/vda2 /swap"


@pytest.mark.parametrize(
    ("kernel", "accepted"),
    [
        *((release, True) for release in ("5.4.0-150-generic", "5.10.0-28-amd64", "5.15.0", "6.1.0", "6.12.48+deb13")),
        *((release, True) for release in ("7.0.1", "10.2.3-x")),
        *(
            (release, False)
            for release in ("3.10.0-1160.el7", "4.18.0-513.el8", "4.19.0", "5.14.0-427.el9", "6.1", "x")
        ),
    ],
)
def test_the_kernels_that_kubeadm_accepts(kernel: str, accepted: bool) -> None:
    items = found(kernel=kernel)
    assert wrong(items) == ({} if accepted else {"SystemVerification": "drift"})
    assert accepted or f"unsupported kernel release {kernel}" in str(items["SystemVerification"].got)


@pytest.mark.parametrize("lost", ["NETFILTER_XT_MATCH_COMMENT", "CGROUP_BPF", "MEMCG"])
def test_an_option_that_the_kernel_was_built_without_is_named(lost: str) -> None:
    item = found(options=("r/boot/config-x", *(line for line in OPTIONS if lost not in line)))["SystemVerification"]
    assert (str(item.status), item.got) == ("drift", f"/boot/config-x lacks CONFIG_{lost}")


def test_an_option_by_its_other_name_and_options_of_cgroup_v1_are_not_missed() -> None:
    gone = ("NETFILTER_XT_TARGET_REDIRECT", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER")
    rest = [line for line in OPTIONS if not any(name in line for name in gone)]
    assert wrong(found(options=("r/boot/config-x", *rest, "CONFIG_IP_NF_TARGET_REDIRECT=m"))) == {}
    assert wrong(found(options=("r/boot/config-x", *rest))) == {"SystemVerification": "drift"}


def test_a_configuration_that_nobody_finds_is_refused_as_kubeadm_does_and_one_that_is_hidden_is_not() -> None:
    item = found(options=())["SystemVerification"]
    assert (str(item.status), item.got) == ("drift", "the kernel's configuration is in no file")
    assert "/boot/config-6.1.0-13-amd64" in item.next_step
    assert wrong(found(options=(), loadable=["configs"])) == {"SystemVerification": "advisory"}
    assert wrong(found(options=("x/boot/config-x",))) == {"SystemVerification": "advisory"}


@pytest.mark.parametrize(
    ("controllers", "status", "got"),
    [
        ("cpuset cpu io hugetlb pids", "drift", "missing required cgroups: memory"),
        ("cpuset cpu memory pids", "advisory", "missing optional cgroups: hugetlb io"),
        ("", "drift", "missing required cgroups: cpu cpuset memory pids"),
    ],
)
def test_control_groups_that_are_switched_off_are_named(controllers: str, status: str, got: str) -> None:
    item = found({system.V2: controllers or "x"})["SystemVerification"]
    assert (str(item.status), item.got) == (status, got)


V1 = "\n".join(f"{name}\t1\t1\t1" for name in (*system.CGROUP_V1_FILE, *system.OPTIONAL_V1))


@pytest.mark.parametrize(
    ("kubelet", "status"), [("", "drift"), ("1.35.0", "drift"), ("v1.34.2", "advisory"), ("1.33.1", "advisory")]
)
def test_cgroup_v1_is_refused_since_kubernetes_1_35(kubelet: str, status: str) -> None:
    on = host(kube_version=kubelet)
    item = found({system.V2: None, system.V1: f"#subsys_name\n{V1}"}, on=on)["SystemVerification"]
    assert (str(item.status), item.got) == (status, "cgroup v1")
    off = V1.replace("memory\t1\t1\t1", "memory\t1\t1\t0")
    assert "missing required cgroups: memory" in str(
        found({system.V2: None, system.V1: off}, on=on)["SystemVerification"].got
    )


@pytest.mark.parametrize(
    ("mode", "kernel", "status"),
    [
        ("nftables", "5.10.0", "drift"),
        ("nftables", "5.15.0", "ok"),
        ("ipvs", "6.1.0", "advisory"),
        ("iptables", "5.4.0", "ok"),
    ],
)
def test_the_chosen_kube_proxy_mode_has_the_kernel_it_needs(mode: str, kernel: str, status: str) -> None:
    for name in ("kube_proxy_mode", "PROXY_MODE"):
        item = found(on=host(**{name: mode}), kernel=kernel, loadable=["nf_tables"])["KubeProxyMode"]
        assert str(item.status) == status


def test_nftables_mode_wants_nf_tables_of_a_kernel_that_tells_its_modules() -> None:
    on = host(kube_proxy_mode="nftables")
    assert found(on=on)["KubeProxyMode"].got == "kernel 6.1.0-13-amd64, without nf_tables"
    assert wrong(found(on=on, builtin=["nf_tables"])) == wrong(found(on=on, tree=False)) == {}


def test_a_mode_that_nobody_chose_is_not_judged() -> None:
    assert "KubeProxyMode" not in found()


@pytest.mark.parametrize("name", ["n_1", "-n", "n-", "", "a..b", "n1.", "x" * 254])
def test_a_hostname_that_kubeadm_refuses_is_drift(name: str) -> None:
    assert wrong(found({"kernel.hostname": name})) == {"Hostname": "drift"}


@pytest.mark.parametrize("name", ["n1", "N1", "a.b-c.d", "1"])
def test_kubeadm_takes_a_hostname_in_lower_case(name: str) -> None:
    assert wrong(found({"kernel.hostname": name})) == {}


def test_a_control_plane_wants_two_cpus_and_1700_megabytes() -> None:
    small: dict[str, str | None] = {"/proc/meminfo": "MemTotal: 1024000 kB", "/sys/devices/system/cpu/online": "0"}
    items = found(small, on=in_groups("kube_control_plane"))
    assert {name: items[name].got for name in wrong(items)} == {"NumCPU": "1 CPUs", "Mem": "1000 MB"}
    assert wrong(found(small)) == {}


@pytest.mark.parametrize(
    ("on", "names"),
    [
        (host(), {FORWARD}),
        (host(ipv6_stack="true"), {FORWARD, FORWARD6}),
        (host(enable_dual_stack_networks=True), {FORWARD, FORWARD6}),
        (host(ipv6_stack=True, ipv4_stack=False), {FORWARD6}),
        (host(kube_network_plugin="flannel"), {FORWARD, BRIDGE}),
        (host(CLUSTER_NETWORK="flannel"), {FORWARD, BRIDGE}),
        (host(kube_network_plugin="calico"), {FORWARD}),
    ],
)
def test_the_keys_that_have_to_be_1_are_those_of_the_chosen_network(on: Host, names: set[str]) -> None:
    items = found({"net.ipv4.ip_forward": "0", "net.ipv6.conf.default.forwarding": "0"}, on=on)
    assert {name for name in items if name.startswith("FileContent-")} == names == set(wrong(items))
    assert all(items[name].next_step.startswith("fab -H NODE fix ") for name in names)


@pytest.mark.parametrize("module", ["br_netfilter", "br-netfilter"])
def test_a_profile_that_loads_br_netfilter_has_its_key_checked_too(module: str) -> None:
    key = "net.bridge.bridge-nf-call-iptables"
    assert wrong(found(modules=f"{module}\n", loadable=["br_netfilter"])) == {BRIDGE: "drift"}
    assert wrong(found({key: "1"}, modules=f"{module}\n", loaded=["br_netfilter"])) == {}
    item = found({key: "0"}, sysctl=f"{key} = 1\n", loaded=["br_netfilter"])[BRIDGE]
    assert (str(item.status), item.why) == ("skipped", f"the profile has it: see {key}")


@pytest.mark.parametrize("names", ["CRI,Swap", "cri,SWAP,port-1", "all"])
def test_what_is_to_be_ignored_is_skipped_and_says_what_it_was(names: str) -> None:
    items = found({join.SWAPS: "Filename\n/swap file 1 0 -2"}, listeners=(), ignore=names)
    assert wrong(items) == {"CRI": "skipped", "Swap": "skipped"}
    assert items["CRI"].why == "ignored, as asked for: expected a container runtime that listens, got none"


def test_every_check_can_be_ignored_by_the_name_it_has() -> None:
    two = host(ipv6_stack=True, kube_network_plugin="flannel", kubeadm_role="control-plane", kube_proxy_mode="ipvs")
    assert set(found(on=two)) | set(found()) <= set(IMPLEMENTED)


LINES = st.lists(st.text(), max_size=5)


@given(
    values=st.dictionaries(
        st.sampled_from([*READY, *join.JOINED, system.V1]), st.text(alphabet=st.characters(exclude_characters="\n"))
    ),
    listeners=LINES,
    options=LINES,
    clock=LINES,
)
def test_whatever_a_node_says_is_judged(
    values: dict[str, str], listeners: list[str], options: list[str], clock: list[str]
) -> None:
    seen = facts(values, more={"options": options, "listeners": listeners, "clock": clock})
    items = join.checks(
        in_groups("kube_control_plane", kube_proxy_mode="nftables"), seen, resolve([], seen), frozenset()
    )
    assert {item.name for item in items} <= set(IMPLEMENTED)
    assert join.identity(seen, (1.0, 2.0), frozenset()).ignored == frozenset()


# On a real shell

real = pytest.mark.skipif(no_namespaces(), reason="no user namespaces here")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A whole small node that is ready."""
    made = Machine(tmp_path / "node", keys={"kernel.hostname": "n1", "net.ipv4.ip_forward": "1"})
    for path, text in {**kernel.ready("6.1.0"), "etc/machine-id": "0123456789abcdef0123456789abcdef\n"}.items():
        made.write(path, text)
    return made


def verified(machine: Machine, *, secret: bytes = b"none") -> NodeResult:
    job = StepContext({"n1": (profile("net.ipv4.ip_forward = 1\n"),)})
    with machine.open() as channel:
        result = node.verify_host(Conversation(channel), host(), job)
        assert secret not in channel.received
    return result


def told(result: NodeResult) -> dict[str, Item]:
    return {item.name: item for item in result.items if item.kind == "check"}


@real
def test_a_node_that_is_ready_says_so_to_a_real_shell(machine: Machine) -> None:
    result = verified(machine)
    assert wrong(told(result)) == {}
    assert len(told(result)) == 10
    assert result.identity is not None
    assert (result.identity.hostname, result.identity.machine_id[:4]) == ("n1", "0123")


@real
def test_what_keeps_a_node_from_joining_is_seen_by_a_real_shell_and_no_token_travels(machine: Machine) -> None:
    machine.write("proc/swaps", "Filename Type\n/dev/vda2 partition 1 0 -2\n")
    machine.write("proc/net/tcp6", f"  sl local\n{listening(10250, '0' * 32)}\n")
    machine.write("proc/net/unix", "Num RefCount\n")
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu pids hugetlb io\n")
    machine.write("etc/kubernetes/bootstrap-kubelet.conf", "token: abcdef.0123456789abcdef\n")
    result = verified(machine, secret=b"abcdef.0123")
    assert wrong(told(result)) == {
        "Swap": "advisory",
        "SystemVerification": "drift",
        "CRI": "drift",
        "Port-10250": "drift",
        "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf": "drift",
    }
    assert told(result)["SystemVerification"].got == "missing required cgroups: memory"


@real
@pytest.mark.parametrize("path", ["proc/config.gz", "boot/config-6.1.0", "lib/modules/6.1.0/build/.config"])
def test_the_kernels_configuration_is_read_where_kubeadm_reads_it(machine: Machine, path: str) -> None:
    text = (machine.root / "boot/config-6.1.0").read_bytes().replace(b"CONFIG_MEMCG=y\n", b"")
    (machine.root / "boot/config-6.1.0").unlink()
    machine.write(path, "")
    (machine.root / path).write_bytes(gzip.compress(text) if path.endswith(".gz") else text)
    assert told(verified(machine))["SystemVerification"].got == f"/{path} lacks CONFIG_MEMCG"


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_brings_the_same_back_and_the_time(name: str, tmp_path: Path) -> None:
    with Shell.named(name, tmp_path).open() as channel:
        before = int(time.time())
        seen = channel.begin(instructions.probe([], [], join.probe_instructions()))
        after = time.time()
    assert before <= int(seen.extra_sections["clock"][0]) <= after
    assert seen.texts(join.SWAPS) == Path(join.SWAPS).read_text().splitlines()
    assert set(LEFTOVERS) <= {path for path, value in seen.values.items() if value is None}
