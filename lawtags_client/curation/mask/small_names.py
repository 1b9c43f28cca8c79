"""Find lower-case names that are in an English dictionary: "my son tommy lee", "my brother mark owes me".

Some are in the dictionary only as names. The others are also ordinary words, so the next word decides: a
person is followed by what that person does or is, not by the rest of a phrase as in "my wife grace period".
"""

from __future__ import annotations

import re

from lawtags_client.curation.mask.english_words import EnglishWords
from lawtags_client.curation.mask.shapes import APOSTROPHES, LETTER
from lawtags_client.curation.mask.word_lists import read_words

_FIRST = frozenset(read_words("english/first-names"))
_FIRST_WORDS = frozenset(read_words("english/first-name-words"))
_LAST_WORDS = frozenset(read_words("english/last-name-words"))
_NEXT = re.compile(rf" (?P<word>{LETTER}++(?:[{APOSTROPHES}]{LETTER}++)?)")
_BREAK = re.compile(r"\s*(?:[.,;:!?)\]\"”\n]|\Z)|['’]s? ")
# Behind a person: what it is, has or does, or another person.
_ABOUT = frozenset(read_words("cues/after-names"))


def is_first_name(word: str) -> bool:
    """Whether a lower-case word in the dictionary is only a first name."""
    return word in _FIRST


def reads_as_first_name(text: str, word: str, end: int, words: EnglishWords) -> bool:
    """Whether a lower-case word that can be a first name is one, after "my brother" or a similar cue.

    Args:
        text: the text that contains it.
        word: the word without possessive.
        end: index after its last letter in the text.
        words: the dictionary.
    """
    return word in _FIRST_WORDS and _is_followed(text, word, end, words, by_name=True)


def reads_as_last_name(text: str, word: str, end: int, words: EnglishWords) -> bool:
    """Whether a lower-case word after a first name is another name of the same person.

    The arguments are those of ``reads_as_first_name``.
    """
    known = word in _LAST_WORDS or word in _FIRST_WORDS or word in _FIRST
    return known and _is_followed(text, word, end, words, by_name=False)


def _is_followed(text: str, word: str, end: int, words: EnglishWords, *, by_name: bool) -> bool:
    if _BREAK.match(text, end):
        return not words.is_finite(word)
    found = _NEXT.match(text, end)
    if not found:
        return False
    following = found["word"].lower().replace("’", "'")
    if following in _ABOUT or words.is_finite(following):
        return True
    if by_name:
        known = words.knows(re.sub(rf"[{APOSTROPHES}]s?$", "", following))
        return not known or following in _FIRST or reads_as_last_name(text, following, found.end(), words)
    # "tommy lee in the car", but not "anna law school", nor "emily rose from her chair".
    return words.is_function(following) and not words.is_finite(word)
