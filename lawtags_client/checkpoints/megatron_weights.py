"""The weights of a NeMo checkpoint by their plain names, whichever way they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lawtags_client.checkpoints.distributed import ChunkedTensor
from lawtags_client.checkpoints.mapping import in_layer
from lawtags_client.checkpoints.tensors import PlannedTensor, StoredTensor, joined
from lawtags_client.errors import DataError

_HINT = "Only plain Llama and Gemma 2 models of Megatron Core can be converted."
_PREFIX = re.compile(r"(?:model\.|module\.|state_dict\.)+")
_LAYER = re.compile(r"layers\.\d+\.")
# Optimizers and schedules of a training, and what is computed from the configuration.
_LEFT_OUT = ("optimizer", "chained", "rng_state", "rotary_pos_emb.", "lr_scheduler")


class MegatronWeights:
    """Weights of Megatron Core.

    Args:
        tensors: name in the checkpoint to tensor: chunked, or as in a ``model_weights.ckpt``.
        label: the checkpoint's name for error messages.

    Raises:
        DataError: the model is not one of Megatron Core.
    """

    def __init__(self, tensors: Mapping[str, ChunkedTensor] | Mapping[str, StoredTensor], label: str) -> None:
        self._label = label
        self._used: set[str] = set()
        self._tensors: dict[str, ChunkedTensor | StoredTensor] = {}
        for name, tensor in tensors.items():
            plain = _PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name
            if plain.startswith(_LEFT_OUT) or "_extra_state" in plain:
                continue
            if plain.startswith("language_model."):
                raise DataError(
                    "is a NeMo 1 checkpoint without Megatron Core (mcore_gpt: false)",
                    path=label,
                    hint="Convert it with the script of NeMo 1 for Megatron Core first.",
                )
            self._tensors[plain] = tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def patterns(self) -> set[str]:
        """The names, with ``layers.*`` for each layer."""
        stacked = (_LAYER.sub("layers.*.", name) for name in self._tensors)
        return {re.sub(r"layers\.(?!\*)", "layers.*.", name) for name in stacked}

    def has(self, name: str, layer: int | None) -> bool:
        """Whether there is a weight."""
        return self._find(name, layer) is not None

    def get(
        self, name: str, layer: int | None, shape: tuple[int, ...], *, padded: bool = False
    ) -> PlannedTensor:
        """A weight.

        Args:
            name: its name, with ``layers.*`` for a layer.
            layer: the layer.
            shape: the shape that it must have.
            padded: whether it may have more rows.

        Raises:
            DataError: it is missing, or has another shape.
        """
        shown = name if layer is None else in_layer(name, layer)
        found = self._find(name, layer)
        if found is None:
            raise DataError(f"the weight {shown} is missing", path=self._label, hint=_HINT)
        enough = padded and found.shape[1:] == shape[1:] and found.shape[0] >= shape[0]
        if found.shape != shape and not enough:
            raise DataError(
                f"the weight {shown} has the shape {list(found.shape)}; the configuration says {list(shape)}",
                path=self._label,
                hint="The configuration belongs to another model, or the checkpoint is damaged.",
            )
        return found

    def rows(self, name: str) -> int | None:
        """How many rows a weight has that is in no layer."""
        found = self._find(name, None)
        return found.shape[0] if found is not None and found.shape else None

    def check_all_used(self) -> None:
        """See that no weight was left out.

        Raises:
            DataError: one was.
        """
        left = sorted(set(self._tensors) - self._used)
        if left:
            raise DataError(
                f"has weights that such a model does not have: {', '.join(left[:3])[:200]}",
                path=self._label,
                hint=_HINT,
            )

    def layer_count(self, name: str) -> int | None:
        """How many layers a stacked weight has; ``None`` where each layer has its own."""
        stacked = self._tensors.get(name.replace("layers.*.", "layers."))
        return stacked.shape[0] if stacked is not None and stacked.shape else None

    def _find(self, name: str, layer: int | None) -> PlannedTensor | None:
        exact = name if layer is None else in_layer(name, layer)
        if exact in self._tensors:
            return self._whole(exact)
        halves = [f"{exact}_w", f"{exact}_v"]  # as newer checkpoints store gate and up
        if all(half in self._tensors for half in halves):
            parts = [self._whole(half) for half in halves]
            if parts[0].dtype != parts[1].dtype:
                raise DataError(
                    f"the weights {' and '.join(halves)} differ in type", path=self._label, hint=_HINT
                )
            shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
            return PlannedTensor(
                exact, parts[0].dtype, shape, lambda: joined([part.make() for part in parts])
            )
        stacked = self._tensors.get(name.replace("layers.*.", "layers."))
        if layer is None or not isinstance(stacked, ChunkedTensor):
            return None
        if not stacked.shape or layer >= stacked.shape[0]:
            return None
        self._used.add(name.replace("layers.*.", "layers."))
        return PlannedTensor(exact, stacked.dtype, stacked.shape[1:], lambda: stacked.layer(layer))

    def _whole(self, name: str) -> PlannedTensor:
        self._used.add(name)
        tensor = self._tensors[name]
        make = tensor.whole if isinstance(tensor, ChunkedTensor) else lambda: tensor
        return PlannedTensor(name, tensor.dtype, tensor.shape, make)
