"""Reads the rows of an evaluation from a dataset, a file of outputs, or an inline target."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable
from typing import TypeAlias

from lawtags_client.errors import BadRequestError, DataError, NotFoundError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.jsonl import JsonFault, decode_row, parse_array, parse_lines
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.evaluator.protocols import EvaluatorDataStore, EvaluatorEntityStore
from lawtags_stack.services.evaluator.spec import DatasetSpec
from lawtags_stack.store import Blobs

DatasetRow: TypeAlias = dict[str, JsonValue]
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")


class RowSource:
    """Reads the rows of datasets.

    Args:
        entities: datasets by name.
        files: their files.
        blobs: the content of these files.
    """

    def __init__(self, entities: EvaluatorEntityStore, files: EvaluatorDataStore, blobs: Blobs) -> None:
        self._entities = entities
        self._files = files
        self._blobs = blobs

    def read(self, source: str | DatasetSpec, limit: int | None = None) -> list[DatasetRow]:
        """Read the rows of a dataset reference or a ``files_url``.

        Args:
            source: ``namespace/name`` of a dataset, or an object with ``files_url``: one file, a repository
                with one file, or a folder, written with a trailing slash, whose files are read in order.
            limit: maximum number of rows; the limit of the dataset itself applies, too.

        Raises:
            NotFoundError: the dataset or file does not exist.
            BadRequestError: there are several files, or the file does not contain rows.
        """
        dataset = self._entities.dataset_get(source) if isinstance(source, str) else source
        rows: list[DatasetRow] = []
        for file in self._row_files(dataset.files_url or ""):
            rows += clean_rows(parse_rows(file.path, self._blobs.path(file.sha256).read_bytes()))
        limits = [each for each in (limit, dataset.limit) if each]
        return rows[: min(limits, default=len(rows))]

    def _row_files(self, url: str) -> list[FileEntry]:
        meant, files = self._files.resolve_url(url)
        found = [file for file in files if file.path.endswith(_SUFFIXES)]
        here = len(meant.path.split("/")) if meant.path else 0
        direct = [file for file in found if file.path.count("/") == here] if url.endswith("/") else []
        if direct:
            # Only files directly in the folder, so that training rows in a subfolder are not scored.
            return sorted(direct, key=lambda file: file.path)
        if not found:
            raise NotFoundError(f"Dataset {url} is not present on datastore as JSON, JSON lines or CSV")
        if len(found) > 1:
            raise BadRequestError(f"Dataset {url} has several files; files_url must name the one to evaluate")
        return found


def parse_rows(path: str, content: bytes) -> list[DatasetRow]:
    """Parse the rows of a file: a JSON array or object, JSON Lines, or CSV.

    Raises:
        BadRequestError: the format is invalid.
    """
    try:
        if path.endswith(".csv"):
            return [dict(row) for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))]
        return [_checked(path, line, row) for line, row in _json_rows(path, content)]
    except DataError as error:
        raise BadRequestError(f"Dataset is not in the expected format: {error.message}") from error
    except (ValueError, csv.Error) as error:
        raise BadRequestError(f"Dataset {path} is not in the expected format: {error}") from error


def _json_rows(path: str, content: bytes) -> Iterable[tuple[int, DatasetRow | JsonFault]]:
    if path.endswith(".json"):
        text = content.removeprefix(codecs.BOM_UTF8)
        if text.lstrip().startswith(b"["):
            return parse_array(io.BytesIO(text), path)
        # One object over several lines, as formatted by an editor.
        row = decode_row(text)
        if isinstance(row, dict) or row.field:
            return [(1, row)]
    return parse_lines(io.BytesIO(content))


def _checked(path: str, line: int, row: DatasetRow | JsonFault) -> DatasetRow:
    if isinstance(row, JsonFault):
        raise row.error(path, line)
    return row


def clean_rows(rows: Iterable[JsonObject]) -> list[DatasetRow]:
    """Rename columns as templates expect: lower case, with ``_`` for anything but letters and digits.

    Example:
        >>> clean_rows([{"Question Title": 1, "question-title": 2}])
        [{'question_title': 1, 'question_title_1': 2}]
    """
    return [_clean(row) for row in rows]


def _clean(row: JsonObject) -> DatasetRow:
    cleaned: DatasetRow = {}
    numbers: dict[str, int] = {}  # avoids quadratic time for many colliding names
    for name, value in row.items():
        plain = re.sub(r"[^0-9a-z]", "_", str(name).lower())
        unique, number = plain, numbers.get(plain, 0)
        while unique in cleaned:
            number += 1
            unique = f"{plain}_{number}"
        cleaned[unique], numbers[plain] = value, number
    return cleaned
