"""Builds and caches the disk, kernel and initramfs that all nodes of one flavour start from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cache_folder, make_cache_folder
from lab.errors import LabError, LabUsageError
from lab.vm import initramfs, programs
from lab.vm.flavours import FLAVOURS, Flavour

GUEST = Path(__file__).parent / "guest"

# mmdebstrap's --unshare-helper shows only what its user namespace may read, so archives travel through pipes.
# /dev/* cannot be created in such a namespace, and devtmpfs covers it anyway.
_PACK = """\
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir root
tar --extract --numeric-owner --exclude='./dev/*' --directory root
mkfs.ext4 -q -L lab -m 0 -d root root.ext4 2G >&2
tar --create --sparse root.ext4
"""
_SCRIPT_VARIABLE = "NODEPREP_LAB_SCRIPT"
_HASH_LENGTH = 12
_EXCLUDED = ("doc", "info", "locale", "man")
# Only the release itself is installed from: it is consistent, while the security archive of an old one may be not.
# (Seen: bullseye's names a linux-image-cloud-amd64 that its pool has no more, 404; its other packages are there.)
_RELEASE_ONLY = 'cd "$1/etc/apt" && sed -i "/-updates /d; /-security /d" sources.list'


Reporter = Callable[[str], None]  # told a line of progress for a person


def discard(line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Image:
    """The finished files of a flavour; nodes read them and never write to them."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The raw ext4 file system."""
        return self.folder / "root.ext4"

    @property
    def kernel(self) -> Path:
        """The kernel's vmlinuz."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The initramfs; a node's own archive is appended to it."""
        return self.folder / "initrd"

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """A descriptor to hand to a process: while it has it open, purge_cache leaves the image alone."""
        with self.disk.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield handle.fileno()


def ensure_image(flavour: Flavour, report: Reporter = discard) -> Image:
    """The flavour's image, built first if the cache has none of this very recipe; report is told before that."""
    cache = make_cache_folder()
    image = Image(cache / f"{flavour.name}-{recipe_hash(flavour)}")
    with _one_builder(cache / f"{flavour.name}.lock"):
        if not image.folder.exists():
            report(f"building the {flavour.name} image (about a minute, once) ...")
            _build_into(flavour, image.folder)
    return image


def purge_cache() -> list[Path]:
    """Removes every cached image that no running node needs, of any lab; returns those that were kept for that.

    Nothing else that may live in the cache folder is touched.
    """
    patterns = [f"{name}-{'[0-9a-f]' * _HASH_LENGTH}" for name in FLAVOURS]
    found = [folder for pattern in patterns for folder in sorted(cache_folder().glob(pattern))]
    return [folder for folder in found if not _purged(Image(folder))]


def _purged(image: Image) -> bool:
    if image.disk.exists():
        with image.disk.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    shutil.rmtree(image.folder, ignore_errors=True)
    return True


def recipe_hash(flavour: Flavour) -> str:
    """Changes whenever an image would be built differently."""
    recipe = [_debootstrap(flavour), _script(flavour), _PACK, (GUEST / "init").read_text(), initramfs.WANTED]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:_HASH_LENGTH]


def _script(flavour: Flavour) -> str:
    return "set -eu\n" + "".join((GUEST / name).read_text() for name in flavour.scripts)


def _debootstrap(flavour: Flavour) -> list[str]:
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(flavour.packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _EXCLUDED),
        f"--setup-hook={_RELEASE_ONLY}",
        f'--customize-hook=chroot "$1" sh -c "${_SCRIPT_VARIABLE}"',
        "--format=tar",
        flavour.suite,
        "-",
    ]


@contextmanager
def _one_builder(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_into(flavour: Flavour, folder: Path) -> None:
    for killed in folder.parent.glob(f".{flavour.name}-*"):  # the lock is ours, so nobody works there any more
        shutil.rmtree(killed, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{flavour.name}-") as name:
        work = Path(name)
        _bootstrap(flavour, work)
        _take_kernel(work)
        _pack(work)
        (work / "root.tar").unlink()
        finished = work / "image"
        finished.mkdir()
        for part in ("root.ext4", "vmlinuz", "initrd", "build.log"):
            (work / part).rename(finished / part)
        finished.rename(folder)


def _bootstrap(flavour: Flavour, work: Path) -> None:
    mirror = os.environ.get("NODEPREP_LAB_MIRROR")
    command = [*_debootstrap(flavour), *([mirror] if mirror else [])]
    # INITRD=No: the kernel package makes no initramfs of its own; it would take 10 s and never be used.
    variables = {"INITRD": "No", _SCRIPT_VARIABLE: _script(flavour)}
    with (work / "root.tar").open("wb") as sink:
        programs.run(command, work / "build.log", sink=sink, variables=variables)


def _pack(work: Path) -> None:
    helper = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
    archive = work / "disk.tar"
    with (work / "root.tar").open("rb") as source, archive.open("wb") as sink:
        programs.run([*helper, "sh", "-c", _PACK], work / "build.log", source, sink)
    programs.run(["tar", "--extract", "--sparse", "--file", str(archive), "--directory", str(work)], work / "build.log")
    archive.unlink()


def _take_kernel(work: Path) -> None:
    """Copies the kernel out of root.tar and builds the initramfs from its modules."""
    with tarfile.open(work / "root.tar") as tar:
        members = {member.name.removeprefix("./").removeprefix("usr/"): member for member in tar if member.isfile()}
        kernel = _only(members, "boot/vmlinuz-")
        tree = f"lib/modules/{kernel.removeprefix('boot/vmlinuz-')}"

        def content(name: str) -> bytes:
            stream = tar.extractfile(members[name])
            if stream is None:
                raise LabError(f"{name} in the new root is not a file")
            return stream.read()

        order = initramfs.load_order(initramfs.WANTED, content(f"{tree}/modules.dep").decode())
        modules = {name: content(f"{tree}/{name}") for name in order}
        (work / "vmlinuz").write_bytes(content(kernel))
    (work / "initrd").write_bytes(initramfs.build(_busybox(), (GUEST / "init").read_bytes(), modules))


def _only(names: dict[str, tarfile.TarInfo], prefix: str) -> str:
    found = [name for name in names if name.startswith(prefix)]
    if len(found) != 1:
        raise LabError(f"expected one {prefix}* in the new root, got {found}")
    return found[0]


def _busybox() -> bytes:
    content = Path(programs.find("busybox") or "busybox").read_bytes()
    if b"ld-linux" in content[:4096]:
        raise LabUsageError("the lab needs a static busybox, and the one here is not; apt install busybox-static")
    return content
