"""Questions to tag: read, cleaned and masked as the training rows were.

Each text goes through the functions that the steps of a curation apply to whole columns.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Lock

from lawtags_client.curation.clean.citations import format_citations
from lawtags_client.curation.clean.html import html_to_text, strip_markup, unescape_title
from lawtags_client.curation.clean.modifiers import clean_text, clean_title, repair_text
from lawtags_client.curation.options import CurationOptions, PiiOptions
from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import QuestionSource, read_source, source_name
from lawtags_client.curation.records import TextsRecord
from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.tagging.question import Question

logger = logging.getLogger(__name__)

TEXT_VERSION = 3
"""Raised whenever texts come out differently, cleaned or masked; a test checks that it was."""

_NO_MASKING = PiiOptions(entities=())
# Few, because the caller waits for each batch.
_ROWS_AT_ONCE = 8
# Threads that tag share a masker, and its model of names is not thread-safe.
_ONE_AT_A_TIME = Lock()
# Of a curation's options those that decide the text of a question that is only asked.
_TEXT = ("columns", "links", "unicode", "sections")


@dataclass(frozen=True)
class QuestionTexts:
    """How the text of a question becomes what a model was trained with.

    Args:
        options: those of the curation; ``pii`` decides what is masked, with all words that were allowed then.
        pii_model: the model of names that masked then, with its version.
    """

    options: CurationOptions = CurationOptions(pii=_NO_MASKING)  # noqa: RUF009 - frozen
    pii_model: str | None = None

    @property
    def masks(self) -> bool:
        """Whether personal data is masked."""
        return bool(self.options.pii.entities)

    def unmasked(self) -> QuestionTexts:
        """The same without masking."""
        return replace(self, options=replace(self.options, pii=_NO_MASKING), pii_model=None)

    def as_dict(self) -> TextsRecord:
        """All of it as JSON, with a fingerprint in place of a secret key."""
        values = self.options.as_dict()
        return {
            "columns": values["columns"],
            "links": values["links"],
            "unicode": values["unicode"],
            "sections": values["sections"],
            "pii": values["pii"] if self.masks else None,
            "pii_model": self.pii_model,
            "version": TEXT_VERSION,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> QuestionTexts:
        """Read what :meth:`as_dict` gave; the key of hashes comes from the environment.

        A warning is logged where texts were cleaned and masked by other rules than those of this release.

        Raises:
            ConfigurationError: a value makes no sense, or the key is missing or another one.
        """
        if (version := values.get("version", TEXT_VERSION)) != TEXT_VERSION:
            _warn_of_rules(str(version))
        known = {name: values[name] for name in _TEXT if name in values}
        pii = values.get("pii")
        if not isinstance(pii, Mapping):
            return cls(CurationOptions.from_dict({**known, "pii": {"entities": []}}))
        wanted = {name: value for name, value in pii.items() if name != "key_fingerprint"}
        model = values.get("pii_model")
        options = CurationOptions.from_dict({**known, "pii": wanted})
        if options.as_dict()["pii"]["key_fingerprint"] != pii.get("key_fingerprint"):
            raise ConfigurationError(
                "the hash key differs from the one that masked the training questions",
                hint="Set LAWTAGS_PII_KEY to the key of the training, or tag with --unmasked.",
            )
        return cls(options, model if isinstance(model, str) else None)

    def prepare(self, rows: Iterable[SourceRow]) -> list[Question]:
        """The questions of some rows, as curation would leave them.

        Raises:
            MissingExtraError: the package that masks or repairs text is not installed.
            ConfigurationError: the model of names is not installed, or is of another version.
        """
        rows = list(rows)
        texts = [_plain(row, self.options) for row in rows]
        if self.masks:
            texts = self._masked(texts)
        if self.options.sections:
            texts = [(format_citations(title), body and format_citations(body)) for title, body in texts]
        return [
            Question(id=row.id, title=title, body=body or None, tags=row.tags, prepared=True)
            for row, (title, body) in zip(rows, texts, strict=True)
        ]

    def prepare_questions(self, questions: Iterable[Question]) -> list[Question]:
        """The same for questions whose texts are as a source has them; errors as for :meth:`prepare`."""
        return self.prepare(
            SourceRow(each.id, each.title, each.body, False, each.tags, True, None, None, None, None, None)
            for each in questions
        )

    def _masked(self, texts: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        from lawtags_client.curation.mask.masker import masker
        from lawtags_client.curation.mask.models import find_model

        if {"PERSON", "LOCATION"} & set(self.options.pii.entities) and find_spec("spacy") is None:
            # Without spaCy the model of names is missing as well, and that error would come first.
            raise MissingExtraError("spacy", "curate", "masking names as in the training")
        masking, taught = masker(self.options.pii), self.pii_model
        if taught is not None and (here := find_model(self.options.pii.model)[1]) != taught:
            raise ConfigurationError(
                f"the training questions were masked with {taught}, but {here} is installed",
                hint="Install that version, or tag with --unmasked.",
            )
        documents = [(title,) if body is None else (title, body) for title, body in texts]
        with _ONE_AT_A_TIME:
            masked, _ = masking.mask_documents(documents)
        # Deleting the beginning of a title leaves a space.
        return [(fields[0].strip(), fields[1] if len(fields) > 1 else None) for fields in masked]


@lru_cache(maxsize=16)
def _warn_of_rules(version: str) -> None:
    """Say once that questions are not cleaned and masked as in the training."""
    logger.warning(
        "The model was trained on texts cleaned and masked by version %s of the rules, and this release has "
        "version %s: some prompts will differ from those of the training. Run the recipe again "
        "(lawtags run RECIPE --new), or install the lawtags release that curation.json of the run names.",
        version,
        TEXT_VERSION,
    )


def questions_to_tag(
    path: str | Path, texts: QuestionTexts | CurationOptions | None = None
) -> Iterator[Question | BadRow]:
    """The questions of a file, one per row, in order; an unreadable row yields the reason.

    Args:
        path: JSONL, JSON array, CSV or Parquet, with a title and perhaps a body, or ``hf://datasets/…``. Its
            other columns are not looked at.
        texts: how to prepare texts, from the tagger. With options of a curation, nothing is masked, because
            the caller already has the data and nothing is stored.

    Raises:
        DataError: the file is empty, broken as a whole, or has no column for the title.
        MissingExtraError: a package that prepares texts is not installed.
    """
    ready = _texts(texts)
    location = str(path)
    read = read_source(
        QuestionSource(location, source_name(location)),
        ready.options.columns,
        needed=("title",),
        used=("id", "title", "body"),
        optional=("id",),
        hint=_column_hint,
    )
    rows = (row for _, row in read)
    size = _ROWS_AT_ONCE if ready.masks else 1
    while batch := list(islice(rows, size)):
        questions = iter(ready.prepare(row for row in batch if isinstance(row, SourceRow)))
        for row in batch:
            yield row if isinstance(row, BadRow) else next(questions)


def _column_hint(field: str, column: str) -> str:
    setting = shlex.quote(f"{field}={column}")
    return f"Name its column: lawtags tag --column {setting}, or columns of CurationOptions."


def plain_question(
    title: str, body: str | None, texts: QuestionTexts | CurationOptions | None = None
) -> Question:
    """One question, prepared as the training rows were.

    Args:
        title: its title; entities are decoded.
        body: HTML, Markdown or plain text.
        texts: see :func:`questions_to_tag`.
    """
    row = SourceRow("", title, body, False, (), True, None, None, None, None, None)
    return _texts(texts).prepare([row])[0]


def _texts(given: QuestionTexts | CurationOptions | None) -> QuestionTexts:
    if isinstance(given, QuestionTexts):
        return given
    return QuestionTexts(given or CurationOptions()).unmasked()


def _plain(row: SourceRow, options: CurationOptions) -> tuple[str, str | None]:
    body = row.body
    if body is not None:
        links = options.links
        body = html_to_text(body, links) if row.html else strip_markup(body, links, row.markdown)
    title = unescape_title(row.title)
    if options.unicode:
        title, body = repair_text(title), body and repair_text(body)
    return clean_title(title), body and clean_text(body)
