"""Reading questions from files and datasets, row by row, each with its line.

Only one row is in memory at a time. An unreadable row becomes a ``BadRow`` and does not affect its neighbors.
"""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.curation.options import FIELDS
from lawtags_client.curation.read.columns import OPTIONAL, ColumnMap, RowError, SourceRow
from lawtags_client.curation.read.json_rows import list_under, read_json
from lawtags_client.curation.read.notices import Notices
from lawtags_client.curation.read.raw import HUB_PREFIX, BadRow, RawRow
from lawtags_client.curation.records import InputIdentity
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import sha256_file

# After this many rows without a title or tags, the columns must be misidentified.
_ROWS_TO_JUDGE = 1000
_MOST_LETTERS = 40
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class QuestionSource:
    """One input.

    Args:
        location: a path, or ``hf://datasets/namespace/name``.
        name: its name in rows and reports.
        test: whether its rows are only for testing.
    """

    location: str
    name: str
    test: bool = False

    @property
    def hub(self) -> bool:
        """Whether it is a dataset of the Hugging Face Hub."""
        return self.location.startswith(HUB_PREFIX)

    def identity(self) -> InputIdentity:
        """What identifies the content: the SHA-256 of a file, or the revision of a dataset.

        Raises:
            DataError: it cannot be read.
        """
        if self.hub:
            from lawtags_client.curation.read.tables import hub_revision

            return {"source": self.location, "revision": hub_revision(self.location)}
        path = Path(self.location)
        try:
            return {"source": self.name, "sha256": sha256_file(path), "bytes": path.stat().st_size}
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def find_sources(inputs: Sequence[str | Path], test: str | Path | None = None) -> list[QuestionSource]:
    """Resolve inputs, of which some may be patterns such as ``data/*.jsonl``.

    A file that matches several inputs is read once; patterns do not match the test file.

    Args:
        inputs: paths, patterns or ``hf://datasets/…``.
        test: a file whose rows are only for testing.

    Raises:
        ConfigurationError: there are no inputs.
        DataError: a file does not exist, or is a folder, or a pattern fits none.
    """
    locations: list[str] = []
    for given in inputs:
        text = str(given)
        if text.startswith(HUB_PREFIX) or Path(text).exists():
            locations.append(text)
        elif any(sign in text for sign in "*?["):
            found = _matches(text, test)
            if not found:
                raise DataError("no file matches this pattern", path=text, hint="Check the pattern.")
            locations += found
        else:
            raise DataError("the file does not exist", path=text, hint="Check the path.")
    first: dict[str, str] = {}
    for location in locations:
        first.setdefault(_real(location), location)
    locations = list(first.values())
    if not locations:
        raise ConfigurationError("there are no input files", hint="Pass at least one file of questions.")
    names = [source_name(location) for location in locations]
    sources = [
        # Files with the same name are shown with their whole path.
        QuestionSource(location, name if names.count(name) == 1 else shown_path(location))
        for location, name in zip(locations, names, strict=True)
    ]
    if test is not None:
        sources.append(QuestionSource(str(test), source_name(str(test)), test=True))
    for source in sources:
        if not source.hub and not Path(source.location).is_file():
            raise DataError(
                "is not a file", path=source.location, hint="Pass files, or a pattern such as 'data/*.jsonl'."
            )
    return sources


def read_source(
    source: QuestionSource,
    columns: Mapping[str, str],
    *,
    needed: Sequence[str] = ("title", "tags"),
    used: Collection[str] = FIELDS,
    optional: Collection[str] = OPTIONAL,
    notices: Notices | None = None,
    hint: Callable[[str, str], str] | None = None,
) -> Iterator[tuple[int, SourceRow | BadRow]]:
    """The rows of a source, checked, each with its line.

    Args:
        source: what to read.
        columns: field to column, for columns that are not recognized by name.
        needed: fields that the source must have a column for.
        used: fields to read; others are ignored.
        optional: fields whose unreadable values do not reject the row.
        notices: collects notices.
        hint: the hint on how to name a field's column, if it differs from that of a curation.

    Raises:
        DataError: the source is empty, broken as a whole, or has no column for the title or the tags.
    """
    notices = notices if notices is not None else Notices()
    found = ColumnMap(columns, used, optional, notices)
    notices.file = source.name
    rows, inner = 0, None
    for raw in _raw_rows(source, found):
        rows += 1
        if isinstance(raw, BadRow):
            yield raw.line, raw
            continue
        notices.line = raw.line
        try:
            row: SourceRow | BadRow = found.read(raw.values)
        except RowError as error:
            row = BadRow(raw.line, error.reason, error.field, error.detail)
            if rows == 1:
                inner = _list_of_rows(raw.values)
        if rows == _ROWS_TO_JUDGE:
            _check_columns(source, found, needed, hint or column_hint)
        yield raw.line, row
    if not rows:
        raise DataError("contains no rows", path=source.location, hint="Check that it is the right file.")
    if rows == 1 and inner is not None and "title" in found.missing(needed):
        raise list_under(inner, Path(source.location), 1)
    _check_columns(source, found, needed, hint or column_hint)


def _list_of_rows(values: Mapping[str, object]) -> str | None:
    """The first key whose value is a list of objects, if any."""
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return name
    return None


def _check_columns(
    source: QuestionSource, found: ColumnMap, needed: Sequence[str], hint: Callable[[str, str], str]
) -> None:
    missing = found.missing(needed)
    if not found.seen or not missing:
        return
    raise DataError(
        f"has no column for the {' and the '.join(missing)}; it has: {_listed(found.seen)}",
        path=source.location,
        field=missing[0],
        # One of several columns, or one that has its use, would only get copied.
        hint=hint(
            missing[0],
            next(iter(found.seen)) if len(found.seen) == 1 and len(missing) == len(needed) else "COLUMN",
        ),
    )


def _listed(names: Collection[str]) -> str:
    """Names of columns; a file without a header has a whole row for them, which would fill the screen."""
    listed = [name if len(name) <= _MOST_LETTERS else name[:_MOST_LETTERS] + "…" for name in names]
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more


def column_hint(field: str, column: str) -> str:
    """The hint on how to name a field's column, for each command that reads questions."""
    setting = shlex.quote(f"columns.{field}={column}")
    return (
        f"Name its column: lawtags curate --set {setting}, lawtags run --set "
        f"{shlex.quote(f'curation.columns.{field}={column}')}, or in the curation section of a recipe "
        f"columns: {{{field}: {column}}}."
    )


def _raw_rows(source: QuestionSource, columns: ColumnMap) -> Iterator[RawRow | BadRow]:
    from lawtags_client.curation.read import delimited, posts, tables

    if source.hub:
        return tables.read_hub(source.location)
    path = Path(source.location)
    packed = path.suffix.lower() in (".gz", ".zst")
    suffix = (path.with_suffix("") if packed else path).suffix.lower()
    if suffix == ".parquet":
        return tables.read_parquet(path, columns)
    if suffix in (".csv", ".tsv", ".tab"):
        return delimited.read_delimited(path, "\t" if suffix in (".tsv", ".tab") else ",", columns)
    if suffix in (".jsonl", ".ndjson", ".json", ""):
        return read_json(path)
    if suffix == ".xml":
        return posts.read_posts(path, columns.notices)
    raise DataError(
        f"files ending in {suffix!r} are not supported",
        path=path,
        hint="Supported: .jsonl, .json, .csv, .tsv and Posts.xml, each also .gz or .zst, and .parquet.",
    )


def _matches(pattern: str, test: str | Path | None) -> list[str]:
    # Path.glob takes no absolute patterns.
    found = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
    return [path for path in found if test is None or _real(path) != _real(str(test))]


def _real(location: str) -> str:
    return location if location.startswith(HUB_PREFIX) else str(Path(location).resolve())


def source_name(location: str) -> str:
    """The name of a source in rows and reports; a name that is not UTF-8 is escaped."""
    if location.startswith(HUB_PREFIX):
        return location
    return shown_path(Path(location).name)


def shown_path(path: str) -> str:
    """A path as valid UTF-8 text.

    Example:
        >>> shown_path("caf\\udce9.csv")
        'caf\\\\xe9.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
