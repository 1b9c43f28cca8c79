"""Find people and places in a document with a name model and by the words around them.

Imported only when needed, because the patterns for names take a second to compile.
"""

from __future__ import annotations

from collections.abc import Sequence

from lawtags_client.curation.mask.allowed import AllowList, find_called_after
from lawtags_client.curation.mask.case import Recased, recase
from lawtags_client.curation.mask.cues import find_land
from lawtags_client.curation.mask.english_words import english_words
from lawtags_client.curation.mask.findings import Finding, is_free, without_overlaps
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.mask.names import name_finder
from lawtags_client.curation.mask.people import People, without_known
from lawtags_client.curation.options import PiiOptions

_LABELS = {"PERSON": "PERSON", "LOC": "LOCATION"}
# What a model calls a name that it does not know; taken for one only where the words around it say so.
_DOUBTFUL = frozenset(("ORG", "GPE", "FAC", "NORP", "PRODUCT", "WORK_OF_ART"))

# spaCy refuses texts of more than a million characters, and its memory grows with the longest.
_LONGEST = 50_000


class PeopleAndPlaces:
    """Finds the names of private people, and of places that are not jurisdictions.

    Args:
        options: what to find.

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigurationError: the spaCy model is not installed.
    """

    def __init__(self, options: PiiOptions) -> None:
        self._entities = frozenset(options.entities)
        self._batch_size = options.batch_size
        self._allow = AllowList(options.allow, options.domains)
        path, _ = find_model(options.model)
        self._finder = name_finder(path, self._allow.allows_cued)
        self._words = english_words(path)
        self._people = People(self._allow, self._words)

    def find(self, texts: Sequence[str], taken: Sequence[Sequence[Finding]]) -> list[list[Finding]]:
        """The people and places in each text.

        Args:
            texts: one text per document, in composed form.
            taken: the findings of patterns in each text.
        """
        documents = [recase(text, self._words) for text in texts]
        names = self._names([document.text for document in documents])
        return [self._resolve(*one) for one in zip(texts, documents, names, taken, strict=True)]

    def _resolve(
        self, text: str, document: Recased, names: Sequence[Finding], taken: Sequence[Finding]
    ) -> list[Finding]:
        found: list[Finding] = []
        if "PERSON" in self._entities:
            found += without_overlaps(self._people.find(document, names, taken))
        if "LOCATION" in self._entities:
            places = [name for name in names if name.entity != "PERSON"]
            land = find_land(document.text, places)
            found += [one for one in land if text[one.start : one.end] not in self._allow]
        if not found:
            return []
        protected = [Finding(start, end, "") for start, end in self._allow.protected(document.text)]
        found = [one for one in found if is_free(one, taken) and is_free(one, protected)]
        found = without_known(document.text, found, protected)
        protected += [Finding(start, end, "") for start, end in find_called_after(document.text)]
        found = [one for one in found if is_free(one, protected)]
        return found + [
            one for one in self._people.echoes(text, found) if is_free(one, taken) and is_free(one, protected)
        ]

    def _names(self, texts: Sequence[str]) -> list[list[Finding]]:
        pieces = [(place, start) for place, text in enumerate(texts) for start in _starts(text)]
        found: list[list[Finding]] = [[] for _ in texts]
        for begin in range(0, len(pieces), self._batch_size):
            batch = pieces[begin : begin + self._batch_size]
            names = self._finder.find([texts[place][start : start + _LONGEST] for place, start in batch])
            for (place, start), piece in zip(batch, names, strict=True):
                for name in piece:
                    kind = _LABELS.get(name.label)
                    if kind in self._entities or name.label in _DOUBTFUL:
                        found[place].append(Finding(start + name.start, start + name.end, kind or name.label))
        return found


def _starts(text: str) -> range:
    return range(0, max(1, len(text)), _LONGEST)
