"""Make text of others (nodes, files, a command line) harmless to show."""

from __future__ import annotations

import re

MAX_TEXT = 4096  # characters of a text in a result: the longest line of a profile

# Characters that a terminal obeys, or that change the order in which a line reads: control characters of C0 and C1
# except the tab, DEL, Unicode's marks of direction (bidirectional algorithm, UAX 9), separators of lines, tags,
# surrogates; and U+FFFE and U+FFFF, which no XML may hold.
UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


def sanitize(text: str) -> str:
    """Return a line of text with a question mark for each unsafe character."""
    return UNSAFE_CHARACTERS.sub("?", text)


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text with its middle replaced by the number of characters left out, if it is longer than a limit."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"


def sanitize_lines(text: str) -> str:
    """Return a text of several lines with each of them sanitized."""
    return "\n".join(map(sanitize, text.split("\n")))
