"""Text of others, made safe to show: it must neither steer a terminal nor fake a line of a log."""

from __future__ import annotations

import re

# Control characters but the tab, marks that turn the direction of writing, and halves of surrogate pairs,
# which no terminal can be sent.
_STEERING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str, *, lines: bool = False) -> str:
    r"""Write control characters out as ``\u001b``, which JSON reads as the character again.

    Example:
        >>> escape_controls("done\x1b[2J")
        'done\\u001b[2J'

    Args:
        text: from data or from a server.
        lines: whether line ends may stay.
    """
    if lines:
        return "\n".join(escape_controls(line) for line in text.splitlines())
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
