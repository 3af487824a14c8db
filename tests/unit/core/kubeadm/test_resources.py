"""NumCPU and Mem: the size of a control plane."""

from __future__ import annotations

from tests.support.kubeadm import findings, in_groups, run_checks


def test_a_control_plane_wants_two_cpus_and_1700_megabytes() -> None:
    small: dict[str, str | None] = {"/proc/meminfo": "MemTotal: 1024000 kB", "/sys/devices/system/cpu/online": "0"}
    items = run_checks(small, on=in_groups("kube_control_plane"))
    assert {name: items[name].got for name in findings(items)} == {"NumCPU": "1 CPUs", "Mem": "1000 MB"}
    assert findings(run_checks(small)) == {}
