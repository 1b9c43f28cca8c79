"""Select the tokens of a text that could be part of a masked name.

Masked names start with a capital, so most of a text is irrelevant, whatever a model predicts for it. Capitals
alone are too common: every sentence starts with one, and abbreviations consist of them. Such a word is
relevant only next to another capitalized word, because alone it would be accepted in the end.

These are exactly the rules by which :mod:`lawtags_client.curation.mask.masker` rejects a name: a token that
they exclude could not have changed the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

# Characters that no name contains.
NO_NAME = re.compile(r"[\d@/\\_<>{}\[\]()|=+*#$%^~`:;\"]")
# Words between the parts of a name.
_PARTICLES = "van von de da di del della der den dos du la le al el bin bint ibn ter ten zu af y"
# Maximum distance from another capitalized word of the same name: "Will J. de la Rue".
_NEAR = 3
# Maximum distance of a particle before its name.
_BEFORE = 2

# Kinds of tokens.
_NOTHING, _ALLOWED, _CAPITALS, _NAME, _PARTICLE = range(5)
# Effects of a token on a word directly before it.
_ENDS, _SIGNS, _LETTERS, _POSSESSIVE = range(4)


class Word(NamedTuple):
    """The properties that decide whether a token is relevant.

    Args:
        kind: its kind on its own.
        joint: its effect on a word directly before it.
    """

    kind: int
    joint: int


def look_at(token: str, is_allowed: Callable[[str], bool]) -> Word:
    """Classify a token on its own.

    Args:
        token: its text.
        is_allowed: whether a single capitalized word is not masked.
    """
    return Word(_kind(token, is_allowed), _joint(token))


def _kind(token: str, is_allowed: Callable[[str], bool]) -> int:
    if not token[:1].isupper():
        return _PARTICLE if token in _PARTICLES.split() else _NOTHING
    # No name begins with the pronoun, the most common capital.
    if token == "I" or NO_NAME.search(token):
        return _NOTHING
    if is_allowed(token):
        return _ALLOWED
    # A single word in capitals is an abbreviation.
    return _CAPITALS if token.isupper() else _NAME


def _joint(token: str) -> int:
    if token.isspace():
        # A name ends with its line, and its words are separated by spaces alone.
        return _ENDS if "\n" in token or not token.strip(" ") else _LETTERS
    if NO_NAME.match(token):
        return _ENDS
    if token in ("'s", "’s"):
        return _POSSESSIVE
    return _LETTERS if any(sign.isalnum() for sign in token) else _SIGNS


def tokens_of_interest(words: Bytes, spaced: Flags, ends: NDArray[np.int64]) -> Flags:
    """Whether each token could be part of a masked name.

    Args:
        words: kind and joint of each token of some texts, one row per token.
        spaced: whether a space follows each token.
        ends: for each token, the index of the first token after its text.
    """
    import numpy

    count = len(words)
    kind = words[:, 0]
    place = numpy.arange(count)

    def later(values: NDArray[np.generic], distance: int) -> NDArray[np.generic]:
        # The value this many tokens ahead, or zero beyond the end of the text.
        moved = numpy.zeros_like(values)
        if distance < count:
            moved[: count - distance] = values[distance:]
        moved[place + distance >= ends] = 0
        return moved

    joint, attached = later(words[:, 1], 1), ~spaced
    goes_on = later(attached, 1) & (later(words[:, 1], 2) != _ENDS)
    joined = attached & (
        (joint == _LETTERS) | ((joint == _POSSESSIVE) & (kind == _CAPITALS)) | ((joint != _ENDS) & goes_on)
    )
    capital = (kind == _ALLOWED) | (kind == _CAPITALS) | (kind == _NAME)
    found = (kind == _NAME) | (capital & joined)
    for distance in range(1, _NEAR + 1):
        pair = capital & later(capital, distance).astype(bool)
        found |= pair
        found[distance:] |= pair[: count - distance]
    for distance in range(1, _BEFORE + 1):
        pair = (kind == _PARTICLE) & later(capital, distance).astype(bool)
        found[distance:] |= pair[: count - distance]
    return numpy.asarray(found)
