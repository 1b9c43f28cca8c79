"""Finds the rows of a job in its dataset folder, by the rules of NVIDIA's training task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.engines.training.preference import CHOSEN, REJECTED
from lawtags_stack.engines.training.rows import TrainingRow, read_rows

CONVERTED_FOLDER = ".pairs"
_TRAINING = ("train*.jsonl", "train*.json"), ("train", "training")
_VALIDATION = ("val*.jsonl", "val*.json", "dev*.jsonl", "dev*.json"), ("val", "validation", "dev")


@dataclass(frozen=True, slots=True)
class JobRows:
    """The row files of a job, by their path in its dataset folder.

    Args:
        training: files to learn from.
        validation: files to validate with; if empty, the trainer holds rows out.
        prompt_template: joins the fields of rows without messages.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    prompt_template: str | None = None


def find_rows(folder: Path, prompt_template: str | None) -> JobRows:
    """Find the files for supervised training and how to read their rows.

    Args:
        folder: the dataset.
        prompt_template: of the job; None: rows have messages, prompt and completion, or two texts.

    Raises:
        DataError: there are no rows for training, or the first one has no known form.
    """
    training, validation = _files(folder)
    first = next(islice(read_rows(folder, training), 1), None)
    if first is None:
        raise DataError("the dataset has no training rows", path=training[0])
    return JobRows(training, validation, prompt_template or _template(first))


def find_pairs(folder: Path, prompt_template: str | None) -> JobRows:
    """Find the files for training on preferences, and write their rows in the trainer's form.

    Args:
        folder: the dataset; the converted rows go to a subfolder.
        prompt_template: of the job, for prompts that are texts.

    Raises:
        DataError: there are no rows for training, or a row has no known form.
    """
    found = []
    for files in _files(folder):
        for name in files:
            target = folder / CONVERTED_FOLDER / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # What is written halfway counts for nothing: the trainer's job is written last.
            with target.open("w", encoding="utf-8") as stream:
                for row in read_rows(folder, [name]):
                    for pair in _pair(row):
                        stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
        found.append(tuple(f"{CONVERTED_FOLDER}/{name}" for name in files))
    return JobRows(found[0], found[1], prompt_template or "{prompt} {completion}")


def _files(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    training, validation = (_matching(folder, *where) for where in (_TRAINING, _VALIDATION))
    if not training and not validation:
        training = sorted(path.name for path in folder.glob("*.jsonl") if path.is_file())
    training, validation = _lines_first(training), _lines_first(validation)
    if not training:
        there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        raise DataError(
            f"the dataset has no training rows; it holds {', '.join(there[:5]) or 'no files'}",
            hint="Name the files train*.jsonl, or put them into the folder training/.",
        )
    return tuple(training), tuple(validation)


def _matching(folder: Path, patterns: Iterable[str], folders: Iterable[str]) -> list[str]:
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    for name in folders:
        if (folder / name).is_dir():
            found |= {path for path in (folder / name).iterdir() if path.suffix in (".jsonl", ".json")}
    return sorted(
        str(path.relative_to(folder))
        for path in found
        # macOS writes these files to foreign file systems; they contain no rows.
        if path.is_file() and not path.name.startswith("._")
    )


def _lines_first(names: list[str]) -> list[str]:
    lines = [name for name in names if name.endswith(".jsonl")]
    return lines or names


def _template(first: TrainingRow) -> str | None:
    content = first.content
    if "messages" in content:
        return None
    if {"prompt", "completion"} <= content.keys():
        return "{prompt} {completion}"
    if {"query", "pos_doc"} <= content.keys():
        raise first.error("the row is for embedding models, which this runner does not train", "query")
    texts = [name for name, value in content.items() if isinstance(value, str)]
    if len(texts) < 2 or not all(re.fullmatch(r"\w+", name) for name in texts[:2]):
        raise first.error("the row has neither messages nor prompt and completion nor two other texts")
    return f"{{{texts[0]}}} {{{texts[1]}}}"


def _pair(row: TrainingRow) -> Iterator[JsonObject]:
    """The pair of a row, in any of the forms that NVIDIA's DPO accepts; none for a tie."""
    content = row.content
    prompt: JsonValue
    if "completions" in content:
        prompt, chosen, rejected = _ranked(row)
    elif "overall_preference" in content:
        preference = content["overall_preference"]
        if not isinstance(preference, int | float):
            raise row.error("the field must be a number", "overall_preference")
        if preference == 0:
            return
        names = ("response1", "response2") if preference < 0 else ("response2", "response1")
        prompt = content.get("context")
        chosen, rejected = (_text(row, name, content.get(name)) for name in names)
    elif isinstance(content.get("chosen"), list):
        prompt, chosen = _conversation(row, "chosen")
        _, rejected = _conversation(row, "rejected")
    else:
        names = ("chosen", "rejected") if "chosen" in content else (CHOSEN, REJECTED)
        prompt = content.get("prompt")
        chosen, rejected = (_text(row, name, content.get(name)) for name in names)
    if not isinstance(prompt, str | list) or not prompt:
        raise row.error("the row has no prompt", "context" if "context" in content else "prompt")
    yield {"prompt": prompt, CHOSEN: chosen, REJECTED: rejected}


def _ranked(row: TrainingRow) -> tuple[JsonValue, str, str]:
    given = row.content["completions"]
    found = []
    for one in given if isinstance(given, list) else ():
        rank = one.get("rank") if isinstance(one, dict) else None
        answer = one.get("completion") if isinstance(one, dict) else None
        last = answer[-1] if isinstance(answer, list) and answer else answer
        text = last.get("content") if isinstance(last, dict) else last
        if isinstance(rank, int | float):
            found.append((rank, _text(row, "completions", text)))
    if len(found) < 2:
        raise row.error("the field must list two completions with their rank", "completions")
    (_, chosen), (_, rejected) = sorted(found)[:2]
    return row.content.get("context"), chosen, rejected


def _conversation(row: TrainingRow, name: str) -> tuple[JsonValue, str]:
    messages = row.content.get(name)
    last = messages[-1] if isinstance(messages, list) and len(messages) > 1 else None
    if not isinstance(messages, list) or not isinstance(last, dict) or last.get("role") != "assistant":
        raise row.error("the field must be a conversation that ends with the assistant's answer", name)
    return messages[:-1], _text(row, name, last.get("content"))


def _text(row: TrainingRow, name: str, value: JsonValue) -> str:
    if not isinstance(value, str) or not value.strip():
        raise row.error("the field must be a non-empty string", name)
    return value


def check_model(names: Iterable[str], *, where: str) -> None:
    """Check that the files of a base model can be trained.

    Args:
        names: the paths of its files.
        where: the fileset or folder, for the error.

    Raises:
        ConfigurationError: there are no safetensors weights, no config or no tokenizer.
    """
    top = {name for name in names if "/" not in name}
    if not any(name.endswith(".safetensors") for name in top):
        there = ", ".join(sorted(top)[:6]) or "no files"
        raise ConfigurationError(
            f"the base model in {where} has no safetensors weights; it holds {there}",
            hint="Upload a Hugging Face folder with model.safetensors, config.json and tokenizer.json.",
        )
    for name in ("config.json", "tokenizer.json"):
        if name not in top:
            raise ConfigurationError(f"the base model in {where} has no {name}", hint=f"Upload {name}, too.")
