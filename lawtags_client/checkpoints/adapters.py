"""LoRA adapters: read from PEFT or NeMo into one description."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.checkpoints.adapter_names import (
    MODULES,
    AdaptedModule,
    Side,
    Variant,
    parsed_peft_name,
    peft_name,
    rule_of,
)
from lawtags_client.checkpoints.architecture import Architecture, Fields, from_hugging_face, read_json
from lawtags_client.checkpoints.detection import MODEL_CONFIG, MODEL_YAML, Checkpoint
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.mapping import Rule
from lawtags_client.checkpoints.megatron_weights import MegatronWeights
from lawtags_client.checkpoints.models import ASSETS, nemo_architecture
from lawtags_client.checkpoints.nemo_configs import read_yaml
from lawtags_client.checkpoints.safetensors_files import ADAPTER, read_safetensors
from lawtags_client.checkpoints.tensors import PlannedTensor, StoredTensor
from lawtags_client.errors import ConfigurationError, DataError

CONFIG = "adapter_config.json"
_HINT = "Plain LoRA of attention and MLP weights, of one rank, can be converted."
Key = tuple[int, str, Side]


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """An adapter, wherever it stands.

    Args:
        made: what its model looks like.
        rank: numbers between its two sides.
        alpha: its weight, times the rank.
        dropout: that of its training.
        base: the name of its model.
        tensors: layer, weight as PEFT names it, and side, to the numbers.
        assets: files of a Hugging Face folder that belong to its model.
    """

    made: Architecture
    rank: int
    alpha: float
    dropout: float
    base: str | None
    tensors: Mapping[Key, PlannedTensor]
    assets: Mapping[str, Extent]

    @property
    def numbers(self) -> int:
        """How many numbers its weights have."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    def layers_of(self, part: str) -> list[int]:
        """The layers in which a weight is adapted."""
        return [layer for layer in range(self.made.layers) if (layer, part, "A") in self.tensors]


def read_adapter(checkpoint: Checkpoint, *, base: Path | None) -> LoraAdapter:
    """Read an adapter of any kind; of its weights only names, shapes and places.

    Args:
        checkpoint: where it is.
        base: the ``config.json`` of its model, or the folder with it; only PEFT needs one.

    Raises:
        ConfigurationError: PEFT's adapter comes without ``base``.
        DataError: it is damaged, or cannot be converted.
    """
    if checkpoint.kind == "peft":
        adapter = _read_peft(checkpoint, base)
    else:
        adapter = _read_nemo(checkpoint)
    _check(adapter, str(checkpoint.path))
    return adapter


def _read_peft(checkpoint: Checkpoint, base: Path | None) -> LoraAdapter:
    if base is None:
        raise ConfigurationError(
            f"{checkpoint.path} does not say what its model looks like",
            hint="Name the folder of the model, or its config.json, with --base.",
        )
    place = base / "config.json" if base.is_dir() else base
    if not place.is_file():
        raise DataError("does not exist", path=place, hint="Name the folder of the model.", wrong_path=True)
    made = from_hugging_face(read_json(Extent(place, 0, place.stat().st_size)))
    config = read_json(checkpoint.files[CONFIG])
    _check_plain(config)
    tensors: dict[Key, PlannedTensor] = {}
    for name, stored in read_safetensors(checkpoint.files[ADAPTER]).items():
        key = parsed_peft_name(name)
        if key is None or key[0] >= made.layers:
            raise DataError(
                f"the weight {name[:160]!r} is not one of LoRA for such a model",
                path=checkpoint.files[ADAPTER].label,
                hint=_HINT,
            )
        tensors[key] = PlannedTensor(peft_name(*key), stored.dtype, stored.shape, _given(stored))
    folder = place.parent
    assets = {
        name: Extent(folder / name, 0, (folder / name).stat().st_size)
        for name in ASSETS
        if (folder / name).is_file()
    }
    model = config.get("base_model_name_or_path")
    return LoraAdapter(
        made,
        config.count("r"),
        config.number("lora_alpha"),
        config.number("lora_dropout", default=0.0),
        str(model) if model else None,
        dict(sorted(tensors.items())),
        assets,
    )


def _check_plain(config: Fields) -> None:
    if str(config.get("peft_type")) != "LORA":
        raise config.error("peft_type", "is not LORA")
    for name in ("use_dora", "use_rslora", "lora_bias", "fan_in_fan_out"):
        if config.flag(name, default=False):
            raise DataError("is not supported", path=config.label, field=name, hint=_HINT)
    for name in ("rank_pattern", "alpha_pattern", "modules_to_save"):
        if config.get(name):
            raise DataError("is not supported", path=config.label, field=name, hint=_HINT)
    if config.get("bias") not in (None, "none"):
        raise DataError("is not supported", path=config.label, field="bias", hint=_HINT)


def _given(stored: StoredTensor) -> Callable[[], StoredTensor]:
    return lambda: stored


def _read_nemo(checkpoint: Checkpoint) -> LoraAdapter:
    weights = checkpoint.weights
    made, assets = nemo_architecture(checkpoint, 1)
    settings = _nemo_settings(checkpoint)
    rank = settings.count("dim", "adapter_dim")
    position = settings.get("dropout_position", "adapter_dropout_position")
    dropout = settings.number("dropout", "adapter_dropout", default=0.0)
    if dropout and position not in (None, "pre"):
        raise settings.error("dropout_position", "must be 'pre', as in PEFT")
    variant: Variant = "nemo1" if checkpoint.kind == "nemo1" else "nemo2"
    tensors: dict[Key, PlannedTensor] = {}
    for module in MODULES:
        for layer in range(made.layers):
            tensors |= _module(made, weights, module, layer, rank, variant)
    weights.check_all_used()
    if not tensors:
        raise DataError("holds no adapter", path=checkpoint.path, hint=_HINT)
    alpha = settings.number("alpha", default=float(rank))
    return LoraAdapter(made, rank, alpha, dropout, None, dict(sorted(tensors.items())), assets)


def _nemo_settings(checkpoint: Checkpoint) -> Fields:
    if checkpoint.kind == "nemo1":
        config = read_yaml(checkpoint.files[MODEL_CONFIG])
        return config.inner("peft").inner("lora_tuning")
    settings = read_yaml(checkpoint.files[MODEL_YAML]).inner("model_transform")
    kind = str(settings.get("_target_"))
    if kind.rpartition(".")[2] not in ("LoRA", "CanonicalLoRA"):
        raise settings.error("model_transform", f"{kind[:80]} is not LoRA")
    return settings


def _module(
    made: Architecture,
    weights: MegatronWeights,
    module: AdaptedModule,
    layer: int,
    rank: int,
    variant: Variant,
) -> Iterator[tuple[Key, PlannedTensor]]:
    rule = rule_of(made, module)
    shapes = rule.shapes(made)
    if weights.has(module.fused(variant, "A"), layer):
        rows = sum(shape[0] for shape in shapes)
        inner = weights.get(module.fused(variant, "A"), layer, (rank, shapes[0][1]))
        outer = weights.get(module.fused(variant, "B"), layer, (rows, rank))
        for place, part in enumerate(module.parts):
            yield (layer, part, "A"), _renamed(inner, layer, part, "A")
            name, shape = peft_name(layer, part, "B"), (shapes[place][0], rank)
            split = _split(made, rule, outer, place)
            yield (layer, part, "B"), PlannedTensor(name, outer.dtype, shape, split)
        return
    for place, part in enumerate(module.parts if module.canonical else ()):
        if weights.has(module.separate(variant, place, "A"), layer):
            inner = weights.get(module.separate(variant, place, "A"), layer, (rank, shapes[place][1]))
            outer = weights.get(module.separate(variant, place, "B"), layer, (shapes[place][0], rank))
            yield (layer, part, "A"), _renamed(inner, layer, part, "A")
            yield (layer, part, "B"), _renamed(outer, layer, part, "B")


def _renamed(tensor: PlannedTensor, layer: int, part: str, side: Side) -> PlannedTensor:
    return PlannedTensor(peft_name(layer, part, side), tensor.dtype, tensor.shape, tensor.make)


def _split(made: Architecture, rule: Rule, outer: PlannedTensor, place: int) -> Callable[[], StoredTensor]:
    return lambda: rule.split(made, outer.make())[place]


def _check(adapter: LoraAdapter, label: str) -> None:
    for module in MODULES:
        shapes = rule_of(adapter.made, module).shapes(adapter.made)
        for part, shape in zip(module.parts, shapes, strict=True):
            for layer in adapter.layers_of(part):
                _check_shape(adapter, (layer, part, "A"), (adapter.rank, shape[1]), label)
                _check_shape(adapter, (layer, part, "B"), (shape[0], adapter.rank), label)
            if module.norm_after and adapter.made.family == "gemma2" and adapter.layers_of(part):
                raise DataError(
                    f"adapts {part} of Gemma 2, which means different things in NeMo and PEFT:"
                    " NeMo adds the adapter after the norm that follows, PEFT before it",
                    path=label,
                    hint="Train without linear_proj and linear_fc2 (o_proj and down_proj).",
                )
    for layer, part, side in adapter.tensors:
        if side == "B" and (layer, part, "A") not in adapter.tensors:
            raise DataError(f"{peft_name(layer, part, 'A')} is missing", path=label, hint=_HINT)


def _check_shape(adapter: LoraAdapter, key: Key, shape: tuple[int, ...], label: str) -> None:
    found = adapter.tensors.get(key)
    if found is None or found.shape != shape:
        what = "is missing" if found is None else f"has the shape {list(found.shape)}, not {list(shape)}"
        raise DataError(
            f"{peft_name(*key)} {what}", path=label, hint="Check that --base is the adapter's model."
        )
