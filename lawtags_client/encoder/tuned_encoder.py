"""An encoder that was tuned to give tags: its weights, and a class head on its vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.folder import EncoderFolder
from lawtags_client.encoder.text_encoder import TextEncoder
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_json, sha256_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

DOCUMENT, WEIGHTS = "encoder.json", "model.safetensors"
SCALE = 20.0
"""By which cosines are multiplied: they lie within 1, log-odds far outside of it."""

_SCHEMA = 1
_KIND = "lawtags-tuned-encoder"
_MOST_BYTES = 64 << 20
_HEAD, _BIAS = "head.weight", "head.bias"
_HINT = "Copy the folder again, or remove it and resume the run that tuned it."


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """How an encoder was tuned.

    Args:
        epochs: how many were computed.
        best_epoch: the one whose weights were kept, from one.
        training_losses: binary cross-entropy of a row, summed over the tags, by epoch.
        validation_losses: the same on the validation rows; empty without any.
        seconds: CPU seconds.
    """

    epochs: int
    best_epoch: int
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    seconds: float


class ClassHead:
    """An encoder in memory with a class head: log-odds are scaled products with the text's vector.

    Args:
        encoder: the encoder, whose weights this object may change.
        tags: one for each class.
    """

    def __init__(self, encoder: TextEncoder, tags: Sequence[str]) -> None:
        import torch

        self.encoder = encoder
        self.tags = tuple(tags)
        self.weight = torch.nn.Parameter(torch.zeros(len(tags), encoder.width))
        self.bias = torch.nn.Parameter(torch.zeros(len(tags)))

    def body(self) -> dict[str, nn.Parameter]:
        """The weights of the encoder that are tuned: all but the embeddings of tokens, which saves time."""
        return {
            name: weights
            for name, weights in self.encoder.model.named_parameters()
            if not name.startswith(("embeddings.", "pooler."))
        }

    def parameters(self) -> dict[str, nn.Parameter]:
        """Everything that is tuned, by name."""
        return {**self.body(), _HEAD: self.weight, _BIAS: self.bias}

    def log_odds(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Log-odds of the tags, of tokenized texts; differentiable."""
        import torch

        vectors = self.encoder.vectors(rows)
        return SCALE * torch.nn.functional.linear(vectors, self.weight) + self.bias

    def set(self, values: Mapping[str, Tensor]) -> None:
        """Take over weights of the same names and shapes."""
        import torch

        with torch.no_grad():
            for name, weights in self.parameters().items():
                weights.copy_(values[name])


class TunedEncoder:
    """A tuned encoder that is ready to score texts; made by ``load_tuned_encoder``.

    Args:
        head: the encoder and its class head.
        identity: SHA-256 of everything that decides its scores.
        record: how it was tuned.
    """

    def __init__(self, head: ClassHead, identity: str, record: TuningRecord) -> None:
        self._head = head
        self.identity = identity
        self.record = record

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it scores, in the order of the columns."""
        return self._head.tags

    def weights(self) -> Mapping[str, Tensor]:
        """Everything that was tuned, by name."""
        return self._head.parameters()

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Log-odds that a text has a tag, texts by tags.

        Raises:
            DataError: a number is not finite.
        """
        return self._head.encoder.apply(texts, self._head.log_odds, len(self.tags))


def save_tuned_encoder(
    head: ClassHead, base: EncoderFolder, max_tokens: int, record: TuningRecord, folder: Path
) -> None:
    """Write ``model.safetensors`` and then ``encoder.json``, which makes it valid.

    Weights are rounded to half precision, which halves the file; scores come from the loaded encoder.

    Args:
        head: what was tuned.
        base: the encoder that it was tuned from; its other weights are not written.
        max_tokens: where texts are truncated.
        record: how it was tuned.
        folder: where the files go; made if it is missing.
    """
    from lawtags_client.encoder.tensor_files import write_tensors

    path = folder / WEIGHTS
    write_tensors(path, {name: weights.detach().half() for name, weights in head.parameters().items()})
    document = {
        "schema_version": _SCHEMA,
        "kind": _KIND,
        "base": {"identity": base.identity, "name": base.name},
        "tags": list(head.tags),
        "max_tokens": max_tokens,
        "record": asdict(record),
        "weights": sha256_file(path),
    }
    atomic_write_json(folder / DOCUMENT, document)


def load_tuned_encoder(folder: Path, base: EncoderFolder, *, threads: int = 2) -> TunedEncoder:
    """Load what ``save_tuned_encoder`` wrote.

    Args:
        folder: with the two files.
        base: the encoder that it was tuned from.
        threads: computing threads.

    Raises:
        ConfigurationError: it was tuned from another encoder.
        DataError: a file is missing or damaged.
        MissingExtraError: torch, transformers or tokenizers is not installed.
    """
    from lawtags_client.encoder.tensor_files import read_tensors

    path = folder / WEIGHTS
    document = _document(folder / DOCUMENT)
    if document.base != base.identity:
        raise ConfigurationError(
            f"{folder} was tuned from encoder {document.base[:12]}…, and this one is {base.identity[:12]}…",
            hint="Use the encoder that it was tuned from, or tune this one.",
        )
    if not path.is_file() or sha256_file(path) != document.weights:
        raise DataError(f"does not fit {DOCUMENT}, or is missing", path=path, hint=_HINT)
    head = ClassHead(TextEncoder(base, threads=threads, max_tokens=document.max_tokens), document.tags)
    head.set(read_tensors(path, {name: weights.shape for name, weights in head.parameters().items()}))
    named = json.dumps([document.base, document.weights, document.tags, document.max_tokens])
    return TunedEncoder(head, hashlib.sha256(named.encode()).hexdigest(), document.record)


@dataclass(frozen=True, slots=True)
class _Document:
    base: str
    tags: tuple[str, ...]
    max_tokens: int
    record: TuningRecord
    weights: str


def _document(path: Path) -> _Document:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        said = json.loads(path.read_bytes())
        if (said["schema_version"], said["kind"]) != (_SCHEMA, _KIND):
            raise ValueError(f"it is of another kind or version: {said['kind']!r} {said['schema_version']!r}")
        tags, record = said["tags"], said["record"]
        if not tags or not all(isinstance(tag, str) for tag in tags) or len(set(tags)) != len(tags):
            raise ValueError("its tags are not a list of different texts")
        if type(said["max_tokens"]) is not int or not 1 <= said["max_tokens"] <= 1 << 20:
            raise ValueError("max_tokens is not a count")
        return _Document(
            base=str(said["base"]["identity"]),
            tags=tuple(tags),
            max_tokens=said["max_tokens"],
            record=TuningRecord(
                epochs=int(record["epochs"]),
                best_epoch=int(record["best_epoch"]),
                training_losses=tuple(map(float, record["training_losses"])),
                validation_losses=tuple(map(float, record["validation_losses"])),
                seconds=float(record["seconds"]),
            ),
            weights=str(said["weights"]),
        )
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint=_HINT) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"is damaged: {error}", path=path, hint=_HINT) from error
