"""Text that others wrote (nodes, files, a command line), made harmless to show."""

from __future__ import annotations

import re

# What a terminal acts on, or what makes a line read otherwise than it is: control characters of C0 and C1 but for the
# tab, DEL, Unicode's marks of direction (bidirectional algorithm, UAX 9), separators of lines, tags, surrogates;
# and U+FFFE and U+FFFF, which no XML may hold.
UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


def sanitize(text: str) -> str:
    """One line of text with a question mark for whatever is unsafe."""
    return UNSAFE_CHARACTERS.sub("?", text)


def sanitize_lines(text: str) -> str:
    """The same for several lines."""
    return "\n".join(map(sanitize, text.split("\n")))
