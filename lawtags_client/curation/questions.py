"""Questions that are to be tagged: read and cleaned as the training rows were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lawtags_client.curation.citations import format_citations
from lawtags_client.curation.columns import SourceRow
from lawtags_client.curation.html import html_to_text, strip_markup, unescape_title
from lawtags_client.curation.modifiers import clean_text, clean_title, repair_text
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.raw import BadRow
from lawtags_client.curation.sources import Source, read_source
from lawtags_client.tagging.question import Question


def questions_to_tag(path: str | Path, options: CurationOptions | None = None) -> Iterator[Question | BadRow]:
    """The questions of a file, one for each row, in its order; a row that cannot be read tells why.

    They go through the steps that make text plain. Personal data stays: whoever asks the model has it, and
    nothing is stored.

    Args:
        path: JSONL, JSON array, CSV or Parquet, with a title and perhaps a body.
        options: those of the curation that the model was trained after.

    Raises:
        DataError: the file is empty, broken as a whole, or has no column for the title.
    """
    options = options or CurationOptions()
    source = Source(str(path), Path(path).name)
    for _, row in read_source(source, options.columns, needed=("title",)):
        yield row if isinstance(row, BadRow) else _question(row, options)


def plain_question(title: str, body: str | None, options: CurationOptions | None = None) -> Question:
    """One question, made plain as the training rows were.

    Args:
        title: its title; entities are decoded.
        body: HTML, Markdown or plain text.
        options: those of the curation that the model was trained after.
    """
    row = SourceRow("", title, body, False, (), True, None, None, None, None, None)
    return _question(row, options or CurationOptions())


def _question(row: SourceRow, options: CurationOptions) -> Question:
    body = row.body
    if body is not None:
        body = html_to_text(body, options.links) if row.html else strip_markup(body, options.links)
    texts = [unescape_title(row.title), body]
    if options.unicode:
        texts = [text and repair_text(text) for text in texts]
    texts = [clean_title(texts[0] or ""), texts[1] and clean_text(texts[1])]
    if options.sections:
        texts = [text and format_citations(text) for text in texts]
    return Question(row.id, texts[0] or "", texts[1] or None, row.tags)
