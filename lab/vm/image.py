"""Build and cache the disk, kernel and initramfs that all nodes of one flavour start from."""

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

# A program under mmdebstrap's --unshare-helper opens only files that its user namespace may read, so archives travel
# through pipes. The files of /dev cannot be created in such a namespace; they are not needed, for devtmpfs covers them.
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
# Packages come from the release alone: it is consistent, while the security archive of an old release may not be.
# (Seen: bullseye's names a linux-image-cloud-amd64 that its pool no longer has, 404; its other packages are there.)
_RELEASE_ONLY = 'cd "$1/etc/apt" && sed -i "/-updates /d; /-security /d" sources.list'


Reporter = Callable[[str], None]  # takes a line of progress, to show to the user


def discard(line: str) -> None:
    """Report the line to nobody."""


@dataclass(frozen=True, slots=True)
class Image:
    """Name the finished files of a flavour. Nodes read them and never write to them."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Return the path of the raw ext4 file system."""
        return self.folder / "root.ext4"

    @property
    def kernel(self) -> Path:
        """Return the path of the kernel, a vmlinuz."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Return the path of the initramfs. A node's own archive is appended to a copy of it."""
        return self.folder / "initrd"

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """Yield a descriptor to hand to a process: while that has it open, purge_cache() keeps the image."""
        with self.disk.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield handle.fileno()


def ensure_image(flavour: Flavour, report: Reporter = discard) -> Image:
    """Return a flavour's image. If the cache has none of this very recipe, build it first, and report that.

    Raises LabError if a step of the build fails, LabUsageError if busybox is not a static program.
    """
    cache = make_cache_folder()
    image = Image(cache / f"{flavour.name}-{recipe_hash(flavour)}")
    with _one_builder(cache / f"{flavour.name}.lock"):
        if not image.folder.exists():
            report(f"building the {flavour.name} image (about a minute, once) ...")
            _build_into(flavour, image.folder)
    return image


def purge_cache() -> list[Path]:
    """Remove all cached images but those of running nodes, of any lab; return the folders that are kept.

    Other files in the cache folder are left alone.
    """
    patterns = [f"{name}-{'[0-9a-f]' * _HASH_LENGTH}" for name in FLAVOURS]
    found = [folder for pattern in patterns for folder in sorted(cache_folder().glob(pattern))]
    return [folder for folder in found if not _remove_unused(Image(folder))]


def _remove_unused(image: Image) -> bool:
    if image.disk.exists():
        with image.disk.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    shutil.rmtree(image.folder, ignore_errors=True)
    return True


def recipe_hash(flavour: Flavour) -> str:
    """Return 12 hexadecimal digits that change whenever an image would be built differently."""
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
    for killed in folder.parent.glob(f".{flavour.name}-*"):  # left by a killed build: we hold the lock
        shutil.rmtree(killed, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{flavour.name}-") as name:
        work = Path(name)
        _bootstrap(flavour, work)
        _extract_kernel(work)
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
    # INITRD=No keeps the kernel package from making an initramfs, which would take 10 s and never be used.
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


def _extract_kernel(work: Path) -> None:
    """Copy the kernel out of root.tar, and build the initramfs from its modules."""
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
        raise LabUsageError("the lab needs a static busybox, and this one is not static; apt install busybox-static")
    return content
