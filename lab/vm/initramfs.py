"""Build the first root of a node: busybox, the drivers of a virtio disk and network, and lab/vm/guest/init."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from lab.vm import cpio

WANTED = ("virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4")


def load_order(wanted: Iterable[str], dependencies: str) -> list[str]:
    """Return the paths of the module files to load, each after those it needs.

    wanted: names of modules. dependencies: the text of modules.dep. A wanted module that is not in it is left out: it
    is built into the kernel, or the kernel has none of that name; /init complains if it cannot mount the disk then.
    """
    needs = dict(_dependency(line) for line in dependencies.splitlines() if line)
    by_name = {module_name(path): path for path in needs}
    chosen = [by_name[name] for name in wanted if name in by_name]
    # modules.dep lists the modules that a module needs in reverse: the last one has to be loaded first.
    order = [path for module in chosen for path in (*reversed(needs[module]), module)]
    return list(dict.fromkeys(order))


def _dependency(line: str) -> tuple[str, list[str]]:
    path, _, needs = line.partition(":")
    return path, needs.split()


def module_name(path: str) -> str:
    """Return the name of a module by its path: `kernel/drivers/char/virtio-rng.ko.xz` is `virtio_rng`."""
    return PurePosixPath(path).name.partition(".ko")[0].replace("-", "_")


def build(busybox: bytes, init: bytes, modules: Mapping[str, bytes]) -> bytes:
    """Return the initramfs as an archive.

    busybox, init: the content of these two programs. modules: file name -> content, in the order of loading; files that
    end in .xz are unpacked.
    """
    drivers = {module_name(name) + ".ko": _unpacked(name, content) for name, content in modules.items()}
    folders = ("bin", "dev", "modules", "node", "proc", "root")
    return cpio.archive(
        [
            *(cpio.folder(name) for name in folders),
            cpio.file("bin/busybox", busybox, 0o755),
            cpio.file("init", init, 0o755),
            cpio.file("modules/order", "".join(f"{name}\n" for name in drivers).encode()),
            *(cpio.file(f"modules/{name}", content) for name, content in drivers.items()),
        ]
    )


def _unpacked(name: str, content: bytes) -> bytes:
    return lzma.decompress(content) if name.endswith(".xz") else content
