"""Remove passwords from the debug output: `fab -d` prints invoke's whole configuration."""

from __future__ import annotations

import logging
import re

from tasks.core.redact import SECRET_WORDS

# An entry of a printed dictionary whose name is a secret's. Here any name with `pass` is one: nobody needs its value.
_ENTRY = re.compile(rf"""(?i)('\w*(?:pass|{SECRET_WORDS})\w*': )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


class _WithoutSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _ENTRY.sub(r"\1'[secret]'", record.getMessage()), ()
        return True


def hide_secrets() -> None:
    """Make invoke's own messages show no password from now on."""
    logging.getLogger("invoke").addFilter(_WithoutSecrets())
