"""Messages and key blobs of SSH, read without trusting the sizes that they claim."""

from __future__ import annotations

from paramiko import Message, SSHException


class CheckedMessage(Message):
    """A message whose fields must fit in it. Raise SSHException for one that claims more than it has.

    paramiko pads what is missing with zeros: an EXT_INFO or INFO_REQUEST that claims 2^32 entries made it loop for
    hours, and a string that claims 1 MB in a message of 10 bytes made it allocate that megabyte.
    """

    def get_bytes(self, n: int) -> bytes:
        """Return the next n bytes."""
        data: bytes = self.packet.read(n)
        if len(data) < n:
            raise SSHException("the server sent a message that ends early")
        return data
