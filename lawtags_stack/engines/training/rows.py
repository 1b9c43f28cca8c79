"""Reads training rows from JSON Lines; every error names file, line and field."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.json_value import JsonObject
from lawtags_client.jsonl import JsonFault, parse_array, parse_lines


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row, with its file and line."""

    file: str
    line: int
    content: JsonObject

    def error(self, message: str, field: str | None = None) -> DataError:
        """Create a DataError that names this row."""
        return DataError(message, path=self.file, line=self.line, field=field)


def read_rows(folder: Path, names: Iterable[str]) -> Iterator[TrainingRow]:
    """Read all rows of the named files in order; blank lines are skipped.

    Args:
        folder: the folder that the names are relative to.
        names: the files, e.g. ``training/training.jsonl``; a ``.json`` file may contain a list.

    Raises:
        DataError: a row is not UTF-8, not valid JSON or not an object.
    """
    for name in names:
        with (folder / name).open("rb") as stream:
            in_list = name.endswith(".json") and stream.peek(64)[:64].lstrip().startswith(b"[")
            for line, row in parse_array(stream, name) if in_list else parse_lines(stream):
                if isinstance(row, JsonFault):
                    raise row.error(name, line)
                yield TrainingRow(name, line, row)


class PromptTemplate:
    """A prompt template such as ``{prompt} {completion}``; the model learns to write the last field.

    The space before the last field belongs to the completion, as most tokenizers expect, so the prompt ends
    in training as it does in inference.

    Raises:
        ConfigurationError: the template has no fields, or its syntax is invalid.
    """

    def __init__(self, template: str) -> None:
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ConfigurationError(f"the prompt template {template!r} is invalid: {error}") from error
        names = [name for _, name, _, _ in parts if name is not None]
        if len(names) < 2 or not all(names):
            raise ConfigurationError(
                f"the prompt template {template!r} must name at least two fields of a row",
                hint="Write it like {prompt} {completion}: the last field is the answer.",
            )
        self.template = template
        self.fields = tuple(dict.fromkeys(names))
        self.answer_field = names[-1]
        self._parts = parts

    def render(self, row: TrainingRow) -> tuple[str, str]:
        """Return the prompt and completion of a row.

        Raises:
            DataError: a field is missing or not a string, or the completion is empty.
        """
        last = max(index for index, (_, name, _, _) in enumerate(self._parts) if name is not None)
        before, after = "", ""
        for index, (literal, name, _, _) in enumerate(self._parts):
            if index > last:
                after += literal
                continue
            before += literal
            if name is not None and index < last:
                before += self._value(row, name)
        answer = self._value(row, self._parts[last][1] or "")
        if not answer:
            raise row.error("the answer is empty", self._parts[last][1])
        prompt = before.rstrip(" ")
        return prompt, before[len(prompt) :] + answer + after

    @staticmethod
    def _value(row: TrainingRow, name: str) -> str:
        value = row.content.get(name)
        if value is None:
            keys = ", ".join(sorted(row.content)) or "none"
            raise row.error(f"the field is missing; the row has: {keys}", name)
        if not isinstance(value, str):
            raise row.error(f"the field is a JSON {type(value).__name__}, not a string", name)
        # The template alone decides about leading and trailing spaces.
        return value.strip(" ")
