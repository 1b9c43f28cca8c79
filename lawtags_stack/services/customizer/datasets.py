"""The rows of a job: which files a dataset reference means, and where the trainer finds them."""

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
    """A data set as a job refers to it.

    Args:
        reference: what responses show: ``namespace/name``, or the URL where there is no entity.
        files_url: where its files are.
        training: row files for training, by their path below the data set.
        validation: row files for validation.
    """

    reference: str
    files_url: str
    training: tuple[FileEntry, ...]
    validation: tuple[FileEntry, ...]


def find_data(
    entities: CustomizerEntityStore, store: CustomizerDataStore, reference: str | DatasetReference
) -> TrainingData:
    """The data set that a job names, in any of the forms the API takes.

    Args:
        entities: knows data sets by name.
        store: holds their files.
        reference: ``namespace/name``, ``hf://datasets/namespace/repository``, or an object with ``name`` and
            ``namespace`` or with ``files_url``.

    Raises:
        NotFoundError: there is no such data set or repository.
        BadRequestError: it holds no rows for training.
        UnprocessableError: the reference has another form.
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
    """Put the row files of a data set below a folder; their names there, for training and validation."""
    inside = parse_files_url(data.files_url).path
    names: tuple[list[str], list[str]] = ([], [])
    for files, into in zip((data.training, data.validation), names, strict=True):
        for file in files:
            # The whole path below the data set: names alone may occur in several folders.
            name = check_path(file.path.removeprefix(f"{inside}/" if inside else ""))
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(blobs.path(file.sha256), target)
            into.append(name)
    return names


def refuse_embedding_rows(blobs: Blobs, data: TrainingData, prompt_template: str | None) -> None:
    """Refuse rows made for embedding models, which are not trained here, before a job is made of them.

    Args:
        blobs: the content of its files.
        data: the data set; its first row tells.
        prompt_template: a template that names the fields of these rows makes them rows like any others.

    Raises:
        BadRequestError: they are.
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
    except (ValueError, RecursionError):  # what is wrong with it is found, and told in full, by the training
        return {}
    return found if isinstance(found, dict) else {}


def _named(entities: CustomizerEntityStore, reference: str | DatasetReference) -> tuple[str, str]:
    if isinstance(reference, DatasetReference):
        if reference.files_url:
            return reference.files_url, reference.files_url
        reference = f"{reference.namespace or 'default'}/{reference.name or ''}"
    if "://" in reference:
        # A repository that is registered under its own name is shown by that name.
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
            # What macOS leaves beside a file on other disks; there are no rows in it.
            and not file.path.rpartition("/")[2].startswith("._")
        ),
        key=lambda file: file.path,
    )


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)
