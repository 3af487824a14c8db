"""The pure parts of making an image and a node: load order, archive, keys, command line, recipe."""

from __future__ import annotations

import lzma
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab import keys, openssh
from lab.errors import LabError, LabUsageError
from lab.vm import cpio, identity, image, initramfs, programs, qemu
from lab.vm.flavours import FLAVOURS

# Lines of bookworm's modules.dep (6.1.0-56-cloud-amd64).
MODULES_DEP = """\
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/net/core/failover.ko:
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko \
kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
"""


def test_modules_load_after_what_they_need_and_once() -> None:
    """Built-in ones (no line in modules.dep) are left out."""
    order = initramfs.load_order(["virtio_blk", "virtio_net", "ext4"], MODULES_DEP)
    names = [initramfs.module_name(path) for path in order]
    assert names == ["virtio_ring", "virtio", "virtio_blk", "failover", "net_failover", "virtio_net"]


def test_module_names_lose_folder_ending_and_dashes() -> None:
    assert initramfs.module_name("kernel/drivers/char/hw_random/virtio-rng.ko.xz") == "virtio_rng"


def test_compressed_modules_are_unpacked() -> None:
    built = initramfs.build(b"", b"", {"kernel/a-b.ko.xz": lzma.compress(b"the driver")})
    assert b"modules/a_b.ko\0" in built
    assert b"the driver" in built
    assert b"a_b.ko\n" in built


@pytest.mark.skipif(programs.find("busybox") is None, reason="needs busybox to read the archive with")
def test_another_program_reads_the_archive() -> None:
    data = cpio.archive([cpio.folder("d", 0o700), cpio.file("d/f", b"text", 0o600, 1000)])
    done = subprocess.run(["busybox", "cpio", "-tv"], input=data, capture_output=True, check=True)
    folder, file, *_ = done.stdout.decode().splitlines()
    assert folder.split()[0] == "drwx------"
    assert file.split()[0] == "-rw-------"
    assert "1000" in file


def test_archive_members_are_aligned_and_ended() -> None:
    data = cpio.archive([cpio.file("f", b"12345")])
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert b"TRAILER!!!\0" in data


def test_a_node_gets_its_names_and_keys(tmp_path: Path) -> None:
    public = keys.ensure_key(tmp_path / "host", "lab-7")
    archive = identity.node_archive("lab-7", "ssh-ed25519 AAAA client", tmp_path / "host")
    assert b"node/etc/hostname\0" in archive
    assert archive.count(b"ssh-ed25519 AAAA client\n") == len(identity.USERS)
    assert public.encode() in archive
    assert (tmp_path / "host").read_bytes() in archive


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert keys.ensure_key(tmp_path / "key", "a") == keys.ensure_key(tmp_path / "key", "b")


def test_known_hosts_names_the_port() -> None:
    assert (
        openssh.known_hosts_line("127.0.0.1", 2203, "ssh-ed25519 AAAA lab-3") == "[127.0.0.1]:2203 ssh-ed25519 AAAA\n"
    )


def test_the_command_line_listens_on_loopback_only(tmp_path: Path) -> None:
    command = qemu.command_line(name="lab-2", port=2202, image=image.Image(tmp_path), accel=qemu.TCG)
    assert "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2202-:22" in command
    assert command[command.index("-accel") + 1] == "tcg,thread=multi"
    assert command[command.index("-kernel") + 1] == str(tmp_path / "vmlinuz")
    assert command[command.index("-name") + 1] == "lab-2"


def test_the_recipe_hash_follows_the_recipe() -> None:
    """Each release has its own, and another package makes another."""
    assert len({image.recipe_hash(flavour) for flavour in FLAVOURS.values()}) == len(FLAVOURS)
    bookworm = FLAVOURS["bookworm"]
    assert image.recipe_hash(bookworm) == image.recipe_hash(replace(bookworm))
    assert image.recipe_hash(bookworm) != image.recipe_hash(replace(bookworm, packages=(*bookworm.packages, "tcpdump")))


def test_the_mirror_is_no_part_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.recipe_hash(FLAVOURS["trixie"])
    monkeypatch.setenv("NODEPREP_LAB_MIRROR", "http://mirror.invalid/debian")
    assert image.recipe_hash(FLAVOURS["trixie"]) == before


def test_purge_leaves_what_is_not_an_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))
    (tmp_path / "bookworm-0123456789ab").mkdir()
    (tmp_path / "bookworm-photos").mkdir()
    image.purge_cache()
    assert [path.name for path in tmp_path.iterdir()] == ["bookworm-photos"]


def test_purge_leaves_an_image_that_a_running_node_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another lab's QEMU has it as the backing of its disk; once that ended it goes."""
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))
    kept = image.Image(tmp_path / "trixie-0123456789ab")
    kept.folder.mkdir()
    kept.disk.touch()
    with kept.in_use() as held:
        node = subprocess.Popen(["sleep", "60"], pass_fds=[held])
    try:
        assert image.purge_cache() == [kept.folder]
        assert kept.disk.exists()
    finally:
        node.kill()
        node.wait()
    assert image.purge_cache() == []
    assert not kept.folder.exists()


def test_an_interrupted_build_leaves_no_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))

    def interrupted(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        image.ensure_image(FLAVOURS["bookworm"])
    assert [path.name for path in tmp_path.iterdir()] == ["bookworm.lock"]


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda program: None)
    with pytest.raises(LabUsageError, match="apt install qemu-system-x86 qemu-utils"):
        programs.require(["qemu-img", "qemu-system-x86_64"])


def test_a_failed_step_quotes_its_log(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="sh ended with status 3:\n    the reason"):
        programs.run(["sh", "-c", "echo the reason; exit 3"], tmp_path / "log")


def test_a_step_reads_and_writes_streams(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"text")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        programs.run(["cat"], tmp_path / "log", source, sink)
    assert (tmp_path / "out").read_bytes() == b"text"


def test_the_end_of_an_empty_log_says_so(tmp_path: Path) -> None:
    assert programs.tail(tmp_path / "none.log") == "    (none.log is empty)"
