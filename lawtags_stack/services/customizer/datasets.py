"""Resolves a job's dataset reference to row files, and provides them to the trainer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import BadRequestError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.customizer import DatasetReference
from lawtags_stack.http.ids import split_reference
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.data_store.hub_urls import check_path, parse_files_url
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.store import Blobs

_FIRST_ROW_BYTES = 1 << 20
_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The dataset of a job.

    Args:
        reference: as responses show it: ``namespace/name``, or the URL if there is no entity.
        files_url: the location of its files.
        training: row files for training, by their path in the dataset.
        validation: row files for validation.
    """

    reference: str
    files_url: str
    training: tuple[FileEntry, ...]
    validation: tuple[FileEntry, ...]


def find_data(
    entities: CustomizerEntityStore, store: CustomizerDataStore, reference: str | DatasetReference
) -> TrainingData:
    """Find a job's dataset, from any form of reference that the API accepts.

    Args:
        entities: datasets by name.
        store: their files.
        reference: ``namespace/name``, ``hf://datasets/namespace/repository``, or an object with ``name`` and
            ``namespace`` or with ``files_url``.

    Raises:
        NotFoundError: the dataset or repository does not exist.
        BadRequestError: it has no training rows.
        UnprocessableError: the reference is malformed.
    """
    shown, files_url = _named(entities, reference)
    url, files = store.resolve_url(files_url)
    inside = f"{url.path}/" if url.path else ""
    training = tuple(_rows(files, f"{inside}training/"))
    if not training:
        raise BadRequestError(
            f"Dataset {shown} has no training rows: there is no .jsonl file in its folder training/",
        )
    return TrainingData(shown, files_url, training, tuple(_rows(files, f"{inside}validation/")))


def place_rows(blobs: Blobs, data: TrainingData, folder: Path) -> tuple[list[str], list[str]]:
    """Link a dataset's row files into a folder, and return their names for training and validation."""
    inside = parse_files_url(data.files_url).path
    names: tuple[list[str], list[str]] = ([], [])
    for files, into in zip((data.training, data.validation), names, strict=True):
        for file in files:
            # The full path in the dataset, since file names may repeat across folders.
            name = check_path(file.path.removeprefix(f"{inside}/" if inside else ""))
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(blobs.path(file.sha256), target)
            into.append(name)
    return names


def refuse_embedding_rows(blobs: Blobs, data: TrainingData, prompt_template: str | None) -> None:
    """Reject rows for embedding models, which this stack does not train, before a job is created.

    Args:
        blobs: the content of the dataset's files.
        data: the dataset; its first row is checked.
        prompt_template: if it names the fields of these rows, they are accepted.

    Raises:
        BadRequestError: the rows are for embedding models.
    """
    first = _first_row(blobs, data.training[0])
    if not {"query", "pos_doc"} <= first.keys() or "messages" in first:
        return
    if prompt_template and "{query}" in prompt_template:
        return
    raise BadRequestError(
        f"Dataset {data.reference} has rows for embedding models; this stack trains language models only, on "
        "rows of prompt and completion, of messages, or of prompt, chosen_response and rejected_response"
    )


def _first_row(blobs: Blobs, file: FileEntry) -> JsonObject:
    with blobs.path(file.sha256).open("rb") as stream:
        start = stream.read(_FIRST_ROW_BYTES)
    text = start.decode("utf-8-sig", "replace").lstrip("[ \t\r\n")
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # the training reports it in detail
        return {}
    return found if isinstance(found, dict) else {}


def _named(entities: CustomizerEntityStore, reference: str | DatasetReference) -> tuple[str, str]:
    if isinstance(reference, DatasetReference):
        if reference.files_url:
            return reference.files_url, reference.files_url
        reference = f"{reference.namespace or 'default'}/{reference.name or ''}"
    if "://" in reference:
        # A repository registered under its own name is shown by that name.
        url = parse_files_url(reference)
        shown = f"{url.namespace}/{url.repo}"
        return (shown if entities.dataset_find(shown) else reference), reference
    namespace, name = split_reference(reference, what="dataset")
    dataset = entities.dataset_find(f"{namespace}/{name}")
    if dataset is None:
        raise NotFoundError(f"Dataset {reference} not found")
    return reference, dataset.files_url


def _rows(files: Iterable[FileEntry], folder: str) -> Iterable[FileEntry]:
    return sorted(
        (
            file
            for file in files
            if file.path.startswith(folder)
            and file.path.endswith(_SUFFIXES)
            # macOS writes these files to foreign file systems; they contain no rows.
            and not file.path.rpartition("/")[2].startswith("._")
        ),
        key=lambda file: file.path,
    )


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # A different file system, or one without hard links.
        shutil.copyfile(source, target)
