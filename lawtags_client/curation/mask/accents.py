"""Compose the accents of a text into its letters, and map positions back to the original text."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

_JAMO = range(0x1160, 0x1200)


@dataclass(frozen=True)
class Composed:
    """A text in Unicode's composed form (NFC).

    Args:
        text: the composed text.
        starts: where each of its segments starts in it; empty if the original text was composed already.
        origins: where each segment starts in the original text; both lists end with the length.
    """

    text: str
    starts: tuple[int, ...] = ()
    origins: tuple[int, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the composed text to the original text.

        Args:
            start: index of its first character.
            end: index after its last character.
        """
        if not self.starts:
            return start, end
        first = bisect_right(self.starts, start) - 1
        behind = bisect_left(self.starts, end)
        return self.origins[first], self.origins[behind]


def compose(text: str) -> Composed:
    """Convert a text to composed form.

    Args:
        text: any text.
    """
    if unicodedata.is_normalized("NFC", text):
        return Composed(text)
    parts: list[str] = []
    starts, origins = [0], [0]
    begin = 0
    for place in range(1, len(text) + 1):
        if place < len(text) and _goes_on(text[place]):
            continue
        parts.append(unicodedata.normalize("NFC", text[begin:place]))
        starts.append(starts[-1] + len(parts[-1]))
        origins.append(place)
        begin = place
    return Composed("".join(parts), tuple(starts), tuple(origins))


def _goes_on(sign: str) -> bool:
    # May combine with the character before it: marks, and the later letters of a Korean syllable.
    return unicodedata.category(sign)[0] == "M" or ord(sign) in _JAMO
