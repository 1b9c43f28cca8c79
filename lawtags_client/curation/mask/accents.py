"""Texts whose accents are parts of their letters, and the way back to the places in the text as it came."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

_JAMO = range(0x1160, 0x1200)


@dataclass(frozen=True)
class Composed:
    """A text in Unicode's composed form (NFC).

    Args:
        text: the text in that form.
        starts: where each of its stretches begins in it; empty where the text came in that form.
        origins: where each of them begins in the text as it came; both end with the length.
    """

    text: str
    starts: tuple[int, ...] = ()
    origins: tuple[int, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The place in the text as it came of a place in the composed one.

        Args:
            start: where it begins.
            end: the index after its last character.
        """
        if not self.starts:
            return start, end
        first = bisect_right(self.starts, start) - 1
        behind = bisect_left(self.starts, end)
        return self.origins[first], self.origins[behind]


def compose(text: str) -> Composed:
    """Bring a text into composed form.

    Args:
        text: any.
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
    # What may become one with the character before it: marks, and the later letters of a Korean syllable.
    return unicodedata.category(sign)[0] == "M" or ord(sign) in _JAMO
