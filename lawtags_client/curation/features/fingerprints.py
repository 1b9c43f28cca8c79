"""Fingerprints that duplicate questions are found by.

Exact duplicates have the same words in title and body, including signs that change a word (``C++`` and
``C#``, ``$5`` and ``5%``). Near duplicates share most of their phrases of
three words: MinHash signatures find likely pairs, and each pair is then compared in full, so
nothing is dropped because of a hash collision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from lawtags_client.curation.clean.signs import normalize_signs
from lawtags_client.curation.clean.words import words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Twenty bands of six: two texts of similarity 0.8 meet with a probability of 0.998, of 0.5 with 0.27.
BANDS = 20
ROWS = 6
_SHINGLE = 3
_MIXER = 0x9E3779B97F4A7C15


def text_digest(title: str, body: str | None) -> str:
    """A digest that is equal for questions with the same words, including signs that change a word."""
    text = _normalized(title) + "\0" + _normalized(body or "")
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def shingles(title: str, body: str | None) -> frozenset[int]:
    """Hashes of all phrases of three words of a question."""
    import numpy

    words = [_hash(word) for text in (title, body or "") for word in words_of(_normalized(text))]
    # A shorter question is one phrase, padded with zeros.
    words += [0] * (_SHINGLE - len(words))
    hashed = numpy.asarray(words, dtype=numpy.uint64)
    count, mixer = len(words) - _SHINGLE + 1, numpy.uint64(_MIXER)
    # Products wrap at 64 bits; the upper bits are mixed best.
    mixed = numpy.zeros(count, dtype=numpy.uint64)
    for place in range(_SHINGLE):
        mixed = (mixed ^ hashed[place : place + count]) * mixer
        mixed ^= mixed >> numpy.uint64(32)
    return frozenset((mixed * mixer >> numpy.uint64(33)).tolist())


def signature_bands(found: Iterable[int]) -> tuple[int, ...]:
    """The bands of a MinHash signature.

    Args:
        found: of :func:`shingles`.

    Returns:
        One number for each band; two questions that share one of them are worth comparing.
    """
    import numpy

    first, second = _permutations()
    values = numpy.fromiter(found, dtype=numpy.uint64)
    # Products wrap at 64 bits; the upper bits are mixed best.
    least = ((values[:, None] * first + second).min(axis=0) >> numpy.uint64(33)).astype("<u8")
    least = least.reshape(BANDS, ROWS)
    return tuple(
        int.from_bytes(hashlib.blake2b(bytes([band]) + row.tobytes(), digest_size=8).digest()) >> 1
        for band, row in enumerate(least)
    )


# Each text is normalized twice: for its digest and for its phrases.
_normalized = lru_cache(maxsize=4)(normalize_signs)


# Words recur often, phrases rarely.
@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())


@lru_cache(maxsize=1)
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    # Fixed, because a library's random stream may change between versions.
    import numpy

    def draw(name: str) -> NDArray[np.uint64]:
        made = [_hash(f"{name}{number}") for number in range(BANDS * ROWS)]
        return numpy.asarray(made, dtype=numpy.uint64)

    return draw("multiply") | numpy.uint64(1), draw("add")
