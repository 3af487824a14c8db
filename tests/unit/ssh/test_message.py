"""A message's fields must fit in it."""

from __future__ import annotations

import pytest
from paramiko import Message, SSHException

from tasks.ssh.message import CheckedMessage


def test_fields_that_fit_are_read_as_paramiko_reads_them() -> None:
    written = Message()
    written.add_int(7)
    written.add_string("text")
    written.add_boolean(True)
    written.add_int64(2**40)
    written.add_string(b"")
    read = CheckedMessage(written.asbytes())
    found = (read.get_int(), read.get_text(), read.get_boolean(), read.get_int64(), read.get_string())
    assert found == (7, "text", True, 2**40, b"")


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\0\0\0\5four", b"\0\x0f\xff\xffx", b"\xff\xff\xff\xffx"])
def test_a_field_that_is_longer_than_its_message_is_refused(content: bytes) -> None:
    with pytest.raises(SSHException, match="ends early"):
        CheckedMessage(content).get_string()
