"""Recognize English words with the dictionary of a name model.

In a text without capitals, names after "my landlord" or "MR" are recognized only because they are not in the
dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lawtags_client.curation.mask.word_lists import read_words

FUNCTION_WORDS = read_words("english/function")
# Endings by which English makes words that no dictionary lists.
_MADE = re.compile(r".{3,}(?:ed|ing|ly|tion|ness|ment|able|ible|less|wise|like)$")
# Verbs whose past is the same word, which lists of irregular forms leave out.
_UNCHANGED = frozenset(read_words("english/unchanged-verbs"))
_PARTS = ("noun", "verb", "adj", "adv")


class EnglishWords:
    """A dictionary of English, with the forms of its words.

    Args:
        folder: the folder of a model; if it has no dictionary, every word counts as English, so that no
            word is a name for this reason.
    """

    def __init__(self, folder: str) -> None:
        self._function = frozenset(FUNCTION_WORDS)
        self._known = self._function.union(read_words("english/colloquial"))
        self._base: dict[str, frozenset[str]] = {}
        self._irregular: dict[str, frozenset[str]] = {}
        self._endings: list[tuple[str, str, str]] = []
        self.is_empty = not self._read(folder)
        self._kinds = lru_cache(maxsize=20_000)(self._kinds_of)

    def _read(self, folder: str) -> bool:
        from spacy.lookups import Lookups

        path = _lookups(folder)
        if path is None:
            return False
        lookups = Lookups().from_disk(path)
        names = ("lemma_index", "lemma_exc", "lemma_rules")
        if not all(lookups.has_table(name) for name in names):
            return False
        index, irregular, rules = (lookups.get_table(name) for name in names)
        for part in _PARTS:
            self._base[part] = frozenset(index.get(part, ()))
            self._irregular[part] = frozenset(irregular.get(part, ()))
            self._endings += [(part, old, new) for old, new in rules.get(part, ()) if old]
        return any(self._base.values())

    def is_function(self, word: str) -> bool:
        """Whether a lower-case word is a function word, a question word or a pronoun."""
        return word in self._function

    def knows(self, word: str) -> bool:
        """Whether a lower-case word is English, in any inflected form.

        Args:
            word: the word without possessive.
        """
        return self.is_empty or word in self._known or bool(self._kinds(word))

    def is_only_noun(self, word: str) -> bool:
        """Whether a word is known only as a noun in its base form, as first names are."""
        if "-" in word:
            return all(part and self.is_only_noun(part) for part in word.split("-"))
        return self._kinds(word) == frozenset(("noun",)) and word in self._base["noun"]

    def is_finite(self, word: str) -> bool:
        """Whether a lower-case word may be a finite verb: "owes", "kept", "refused"."""
        if "verb" not in self._kinds(word):
            return False
        if word in self._base["verb"] and not word.endswith("ed"):
            # "Cut" and "hit" are their own past.
            return word in self._irregular["verb"] or word in _UNCHANGED
        return word in self._irregular["verb"] or word.endswith(("ed", "s"))

    def _kinds_of(self, word: str) -> frozenset[str]:
        return frozenset(self._found(word))

    def _found(self, word: str) -> Iterator[str]:
        for part in self._base:
            if word in self._base[part] or word in self._irregular[part]:
                yield part
        for part, old, new in self._endings:
            if word.endswith(old) and word.removesuffix(old) + new in self._base[part]:
                yield part
        doubled = re.fullmatch(r"(.+?)([bdgklmnprt])\2(?:ed|ing|er)", word)
        if doubled and doubled[1] + doubled[2] in self._base.get("verb", ()):
            yield "verb"
        if "-" in word and all(self._part_known(part) for part in word.split("-")):
            yield "noun"

    def _part_known(self, part: str) -> bool:
        return not part or part in self._known or bool(self._kinds_of(part))


def looks_made(word: str) -> bool:
    """Whether a word that is in no dictionary has an English suffix."""
    return _MADE.match(word) is not None


@lru_cache(maxsize=2)
def english_words(folder: str) -> EnglishWords:
    """The dictionary of a model, read once per process.

    Args:
        folder: the folder of the model, or the name of its package.
    """
    return EnglishWords(folder)


def _lookups(folder: str) -> Path | None:
    path = Path(folder)
    if not path.is_dir():
        import importlib.util

        spec = importlib.util.find_spec(folder)
        path = Path(spec.origin).parent if spec and spec.origin else path
    # A package of spaCy holds its model in a folder of its own.
    found = sorted(path.rglob("lookups.bin"))
    return next((one.parent for one in found if one.parent.parent.name == "lemmatizer"), None)
