"""Find personal data by patterns and by a name model, and replace it.

Patterns are applied first and find data with a specific format, such as email addresses. Then spaCy's named
entity recognition finds people and places in title and body together. Names of cases, courts, statutes and
jurisdictions are not masked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from lawtags_client.curation.mask.accents import compose
from lawtags_client.curation.mask.findings import Finding, is_free, without_overlaps
from lawtags_client.curation.mask.patterns import FINDERS
from lawtags_client.curation.options import PiiOptions

if TYPE_CHECKING:
    import pandas as pd

    from lawtags_client.curation.mask.people_and_places import PeopleAndPlaces

# Separates the fields of a document; no name crosses it.
_GAP = "\n\n"

# Digests ignore the shape of apostrophes and hyphens, so that a person has one digest.
_SAME = str.maketrans(dict.fromkeys("’ʼʻ‘", "'") | dict.fromkeys("‐‑", "-"))
_POSSESSIVE = re.compile(r"['’](?:[sS]\b|(?=[\s.,;:!?)]|$))")


class PiiMasker:
    """Finds and replaces personal data.

    Args:
        options: what to find, and how to replace it.

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigurationError: the spaCy model is not installed.
    """

    def __init__(self, options: PiiOptions) -> None:
        self._options = options
        self._entities = frozenset(options.entities)
        self._named: PeopleAndPlaces | None = None
        if self._entities & {"PERSON", "LOCATION"}:
            from lawtags_client.curation.mask.people_and_places import PeopleAndPlaces

            self._named = PeopleAndPlaces(options)

    def mask(self, texts: Sequence[str]) -> tuple[list[str], Counter[str]]:
        """Replace the personal data in texts.

        Args:
            texts: one text per document.

        Returns:
            The masked texts, and the number of findings by kind.
        """
        masked, counts = self.mask_documents([(text,) for text in texts])
        return [fields[0] for fields in masked], counts

    def mask_documents(
        self, documents: Sequence[tuple[str, ...]]
    ) -> tuple[list[tuple[str, ...]], Counter[str]]:
        """Replace the personal data in documents with several fields, which are read as one text.

        Therefore, a name that is recognized only in the body is also masked in the title.

        Args:
            documents: the fields of each document, such as title and body.

        Returns:
            The masked fields, and the number of findings by kind.
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
        """The personal data in each text, in order and without overlaps.

        Args:
            texts: one text per document.
        """
        composed = [compose(text) for text in texts]
        taken = [_by_form(one.text) for one in composed]
        found = [[one for one in each if one.entity in self._entities] for each in taken]
        if self._named is not None:
            named = self._named.find([one.text for one in composed], taken)
            found = [without_overlaps(kept + more) for kept, more in zip(found, named, strict=True)]
        return [
            [Finding(*one.origin(each.start, each.end), each.entity) for each in findings]
            for one, findings in zip(composed, found, strict=True)
        ]

    def _replace(self, text: str, findings: Sequence[Finding]) -> str:
        if not findings:
            return text
        action = self._options.action
        parts, end = [], 0
        for finding in findings:
            parts += [text[end : finding.start], self._stand_in(text[finding.start : finding.end], finding)]
            end = finding.end
            # Without the name, its possessive has no meaning.
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
    """The masker for these options, created once per process."""
    return PiiMasker(options)


def mask_texts(texts: pd.Series, options: PiiOptions | None = None) -> pd.Series:
    """The batch form of :meth:`PiiMasker.mask`; values that are not strings do not change.

    Args:
        texts: a batch.
        options: what to find, and how to replace it; the defaults if None.
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


def _by_form(text: str) -> list[Finding]:
    """The findings of all patterns in a text, including kinds that are not requested."""
    taken: list[Finding] = []
    for finder in FINDERS:
        found = [f for f in finder(text) if is_free(f, taken)]
        # An address of a page that is not asked for must not be searched for the other kinds.
        taken += sorted(found, key=lambda f: f.start - f.end)
        taken = without_overlaps(taken)
    return taken


def _within(findings: Iterable[Finding], start: int, end: int) -> list[Finding]:
    return [
        Finding(max(f.start, start) - start, min(f.end, end) - start, f.entity)
        for f in findings
        if f.start < end and f.end > start
    ]
