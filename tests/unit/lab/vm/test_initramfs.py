from __future__ import annotations

import lzma

from lab.vm import initramfs

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
