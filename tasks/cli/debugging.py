"""`fab -d` prints invoke's whole configuration: passwords are taken out of it."""

from __future__ import annotations

import logging
import re

from tasks.core.redact import SECRET_WORDS

# An entry of a printed dictionary whose name speaks of a secret. Here any `pass` is one: nobody needs its value.
_ENTRY = re.compile(rf"""(?i)('\w*(?:pass|{SECRET_WORDS})\w*': )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


class _WithoutSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _ENTRY.sub(r"\1'[secret]'", record.getMessage()), ()
        return True


def hide_secrets() -> None:
    """From now on invoke's own messages show no password."""
    logging.getLogger("invoke").addFilter(_WithoutSecrets())
