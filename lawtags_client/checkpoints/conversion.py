"""Converts checkpoints: Hugging Face, NeMo 1 and NeMo 2, in any direction."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.checkpoints.adapter_writing import write_nemo_adapter, write_peft
from lawtags_client.checkpoints.adapters import read_adapter
from lawtags_client.checkpoints.detection import NAMES, Checkpoint, Kind, open_checkpoint
from lawtags_client.checkpoints.models import read_model, write_hugging_face, write_nemo_1, write_nemo_2
from lawtags_client.checkpoints.output import Output, new_archive, new_folder, refuse_existing
from lawtags_client.errors import ConfigurationError, DataError

SHARD_BYTES = 5_000_000_000
"""The usual length of a file of weights on Hugging Face."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion made.

    Args:
        path: the new checkpoint.
        source: the kind of the old one.
        kind: its own kind.
        tensors: how many tensors it has, as Hugging Face counts them.
        numbers: how many numbers these have.
    """

    path: Path
    source: Kind
    kind: Kind
    tensors: int
    numbers: int


def convert(
    source: Path,
    target: Path,
    kind: Kind,
    *,
    base: Path | None = None,
    tokenizer: str | None = None,
    multiple: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> Converted:
    """Convert a checkpoint, without loading it: only a few megabytes of it are in memory at a time.

    Args:
        source: a Hugging Face folder, a PEFT folder, a ``.nemo`` archive, or a folder of NeMo.
        target: the new folder, or for NeMo 1 the new archive; must not exist.
        kind: what to make.
        base: a folder with the ``config.json`` of the model that a PEFT adapter belongs to.
        tokenizer: for NeMo 1, the name of the tokenizer on Hugging Face.
        multiple: for NeMo, pad the embedding to a multiple of this many rows.
        shard_bytes: for Hugging Face, the length of a file of weights.

    Raises:
        DataError: the source is damaged or cannot be converted, or the target exists or is in the source.
        BusyError: another process is writing the target.
    """
    refuse_existing(target)
    # Path.resolve raises for a link to itself, which is the business of those who read it.
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
        hint = "Choose a target outside: NeMo and Hugging Face read every file of a folder."
        raise DataError(f"is inside the source, {source}", path=target, hint=hint, wrong_path=True)
    opened = open_checkpoint(source)
    _check_kinds(opened, kind)
    if opened.is_adapter:
        return _convert_adapter(opened, target, kind, base=base)
    model = read_model(opened)
    with _output(target, kind) as output:
        if kind == "hf":
            write_hugging_face(model, output, shard_bytes=shard_bytes)
        elif kind == "nemo1":
            write_nemo_1(model, output, multiple=multiple, tokenizer=tokenizer)
        else:
            write_nemo_2(model, output, multiple=multiple)
    return Converted(target, opened.kind, kind, len(model.tensors), model.numbers)


def _convert_adapter(opened: Checkpoint, target: Path, kind: Kind, *, base: Path | None) -> Converted:
    adapter = read_adapter(opened, base=base)
    with _output(target, kind) as output:
        if kind == "peft":
            write_peft(adapter, output)
        else:
            write_nemo_adapter(adapter, output, "nemo1" if kind == "nemo1" else "nemo2")
    return Converted(target, opened.kind, kind, len(adapter.tensors), adapter.numbers)


@contextlib.contextmanager
def _output(target: Path, kind: Kind) -> Iterator[Output]:
    with new_archive(target) if kind == "nemo1" else new_folder(target) as output:
        yield output


def _check_kinds(opened: Checkpoint, kind: Kind) -> None:
    if opened.kind == kind:
        raise ConfigurationError(
            f"{opened.path} is a {NAMES[kind]} already", hint="Choose another kind with --to."
        )
    if kind == "hf" and opened.is_adapter:
        raise ConfigurationError(f"{opened.path} holds an adapter", hint="Convert it with --to peft.")
    if kind == "peft" and not opened.is_adapter:
        raise ConfigurationError(f"{opened.path} holds a model", hint="Convert it with --to hf.")
