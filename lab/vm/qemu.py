"""Build QEMU's command line, and find out if KVM works on this machine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from lab.vm.image import Image
from lab.vm.programs import tail

# console: the serial log. net.ifnames=0: the interface is called eth0 with any version of QEMU. no_timer_check: on a
# busy machine the emulated timer is late; the kernel then gives up on it ("8254 timer not connected to IO-APIC") and
# may hang.
_KERNEL = "console=ttyS0 quiet loglevel=4 systemd.show_status=0 net.ifnames=0 mitigations=off no_timer_check"
CONSOLE, DISK, INITRD, QMP, LOG = "console.log", "disk.qcow2", "initrd", "qmp.sock", "qemu.log"
MEMORY = "memory"
TCG = "tcg,thread=multi"
_PROBE_SECONDS = 15.0


def command_line(
    *, name: str, port: int, image: Image, accel: str, memory: int = 256, arguments: str = ""
) -> list[str]:
    """Return the command of one node, to be run in the node's folder: the node's own files are named relative to it.

    port: the port on 127.0.0.1 that leads to the node's sshd. accel: the value of -accel, see accelerator(). memory: in
    MB. arguments: added to the kernel's command line.
    """
    return [
        "qemu-system-x86_64",
        *("-name", name, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "pc,usb=off", "-accel", accel, "-cpu", "max", "-m", str(memory)),
        *("-kernel", str(image.kernel), "-initrd", INITRD, "-append", f"{_KERNEL} {arguments}".strip()),
        *("-drive", f"file={DISK},if=virtio,format=qcow2"),
        *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-chardev", f"file,id=console,path={CONSOLE},append=on", "-serial", "chardev:console"),
        *("-qmp", f"unix:{QMP},server=on,wait=off"),
    ]


def accelerator(image: Image, cache: Path) -> str:
    """Return `kvm` if the image's kernel was seen to boot with it since this machine's last boot, else TCG.

    /dev/kvm may exist and hang, so one boot is tried with a deadline of 15 seconds. The answer is kept in `cache`.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache / "kvm"
    if not answer.exists() or boot not in answer.read_text():
        answer.write_text(f"{boot} {'yes' if _kvm_boots(image, cache / 'kvm.console') else 'no'}\n")
    return "kvm" if answer.read_text().endswith("yes\n") else TCG


def _kvm_boots(image: Image, console: Path) -> bool:
    command = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-accel", "kvm", "-cpu", "max", "-m", "128", "-kernel", str(image.kernel)),
        *("-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1", "-serial", f"file:{console}"),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + _PROBE_SECONDS
    try:
        # A kernel without a root file system panics. That it gets so far proves that KVM works.
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        return "Kernel panic" in tail(console, 200)
    finally:
        process.kill()
        process.wait()
        console.unlink(missing_ok=True)
