"""Regular expressions in the syntax that every engine for guided decoding accepts."""

from __future__ import annotations

import re
from collections.abc import Iterable


def any_of(texts: Iterable[str]) -> str:
    """A regular expression of several texts, in the syntax that every engine for guided decoding knows."""
    # The longest first, since some engines take the first alternative that matches.
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    return f"(?:{'|'.join(escaped(text) for text in ordered)})"


def escaped(text: str) -> str:
    """A text as a regular expression that matches it alone."""
    # re.escape also writes "\-" and "\ ", which not every engine accepts.
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)
