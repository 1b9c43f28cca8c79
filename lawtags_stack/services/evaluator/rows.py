"""The rows of an evaluation: from a data set, a file of outputs, or the target itself."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    from lawtags_stack.service import StackContext
    from lawtags_stack.services.data_store.trees import FileEntry

Row = dict[str, Any]
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")


def read_rows(context: StackContext, source: str | Mapping[str, Any], limit: int | None = None) -> list[Row]:
    """The rows that a data set reference or a ``files_url`` means.

    Args:
        context: the stack whose Data Store holds the file.
        source: ``namespace/name`` of a data set, or an object with ``files_url``: one file, a repository that
            holds one, or a folder, written with a slash at its end, whose files are read one after the other.
        limit: the most rows to take; a limit of the data set itself applies too.

    Raises:
        NotFoundError: there is no such data set or file.
        BadRequestError: it is not one file of rows.
    """
    if isinstance(source, str):
        source = context.entity_store.dataset_get(source)
    url = str(source.get("files_url") or "")
    rows: list[Row] = []
    for file in _row_files(context, url):
        rows += clean_rows(parse_rows(file.path, context.data_store.blobs.path(file.sha256).read_bytes()))
    limits = [each for each in (limit, source.get("limit")) if each]
    return rows[: min(limits, default=len(rows))]


def _row_files(context: StackContext, url: str) -> list[FileEntry]:
    meant, files = context.data_store.resolve_url(url)
    found = [file for file in files if file.path.endswith(_SUFFIXES)]
    here = len(meant.path.split("/")) if meant.path else 0
    direct = [file for file in found if file.path.count("/") == here] if url.endswith("/") else []
    if direct:
        # What lies in the folder itself: training rows in a folder below are not to be scored as well.
        return sorted(direct, key=lambda file: file.path)
    if not found:
        raise NotFoundError(f"Dataset {url} is not present on datastore as JSON, JSON lines or CSV")
    if len(found) > 1:
        raise BadRequestError(f"Dataset {url} holds several files; files_url must name the one to evaluate")
    return found


def parse_rows(path: str, content: bytes) -> list[Row]:
    """The rows of a file: a JSON array or object, JSON lines, or CSV.

    Raises:
        BadRequestError: the file is not in the expected format.
    """
    try:
        text = content.decode("utf-8-sig")
        if path.endswith(".csv"):
            return [dict(row) for row in csv.DictReader(io.StringIO(text))]
        if path.endswith(".json"):
            try:
                found = _value(text)
            except ValueError:
                found = _lines(text)
            rows = found if isinstance(found, list) else [found]
        else:
            rows = _lines(text)
        if "\\ud" in text:
            json.dumps(rows, ensure_ascii=False).encode("utf-8")  # fails on half of a surrogate pair
    except (ValueError, csv.Error, RecursionError) as error:
        raise BadRequestError(f"Dataset {path} is not in the expected format: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise BadRequestError(f"Dataset {path} is not in the expected format: every row must be an object")
    return rows


def _lines(text: str) -> list[Any]:
    found = []
    # Not splitlines(): JSON leaves the line separators of Unicode within texts as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(_value(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return found


def _value(text: str) -> Any:
    """A JSON value that can be written again, to requests and to results."""
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON; write null for a missing number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def clean_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows with column names as templates name them: lower case, ``_`` for anything but letters and digits.

    Example:
        >>> clean_rows([{"Question Title": 1, "question-title": 2}])
        [{'question_title': 1, 'question_title_1': 2}]
    """
    return [_clean(row) for row in rows]


def _clean(row: Row) -> Row:
    cleaned: Row = {}
    numbers: dict[str, int] = {}  # without it, many names that become the same one would take quadratic time
    for name, value in row.items():
        plain = re.sub(r"[^0-9a-z]", "_", str(name).lower())
        unique, number = plain, numbers.get(plain, 0)
        while unique in cleaned:
            number += 1
            unique = f"{plain}_{number}"
        cleaned[unique], numbers[plain] = value, number
    return cleaned
