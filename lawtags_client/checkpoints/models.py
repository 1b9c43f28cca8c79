"""Whole models: read from any kind of checkpoint into one description, and written from it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from lawtags_client.checkpoints.architecture import (
    Architecture,
    from_hugging_face,
    read_json,
    to_hugging_face,
)
from lawtags_client.checkpoints.detection import (
    MODEL_CONFIG,
    MODEL_YAML,
    Checkpoint,
)
from lawtags_client.checkpoints.distributed_writing import ChunkToWrite, TensorToWrite, write_distributed
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.mapping import Rule, empty_states, in_layer, rules
from lawtags_client.checkpoints.megatron_weights import MegatronWeights
from lawtags_client.checkpoints.nemo_configs import from_nemo_1, from_nemo_2, read_yaml, to_nemo_1
from lawtags_client.checkpoints.nemo_context import COMMON, write_context
from lawtags_client.checkpoints.output import Output
from lawtags_client.checkpoints.safetensors_files import read_weights, write_weights
from lawtags_client.checkpoints.tensors import PlannedTensor, StoredTensor, padded
from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue

ASSETS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"),
)
"""Files of a Hugging Face folder that are carried along."""
_LARGEST_ASSET = 256 << 20
_HF_IN_NEMO_1, _HF_IN_NEMO_2 = "hf/", "context/nemo_tokenizer/"
_HINT = "The configuration belongs to another model, or the checkpoint is damaged."


@dataclass(frozen=True, slots=True)
class DecoderModel:
    """A model, wherever it stands.

    Args:
        made: what it looks like.
        tensors: its weights, by their names in Hugging Face.
        assets: files of a Hugging Face folder that belong to it.
    """

    made: Architecture
    tensors: Mapping[str, PlannedTensor]
    assets: Mapping[str, Extent]

    @property
    def numbers(self) -> int:
        """How many numbers its weights have."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_model(checkpoint: Checkpoint) -> DecoderModel:
    """Read a model of any kind; of its weights only names, shapes and places.

    Raises:
        DataError: it is damaged, or cannot be converted.
    """
    if checkpoint.kind == "hf":
        return _read_hugging_face(checkpoint)
    weights = checkpoint.weights
    made, assets = nemo_architecture(checkpoint, weights.rows("embedding.word_embeddings.weight"))
    tensors = {tensor.name: tensor for tensor in _unfused(made, weights)}
    weights.check_all_used()
    return DecoderModel(_with_dtype(made, tensors), tensors, assets)


def nemo_architecture(checkpoint: Checkpoint, rows: int | None) -> tuple[Architecture, dict[str, Extent]]:
    """What a model of NeMo looks like, and the files of a Hugging Face folder that it carries along.

    Args:
        checkpoint: of NeMo 1 or 2.
        rows: of its embedding, if it has one.

    Raises:
        DataError: the configuration is missing, wrong, or of an unsupported model.
    """
    if checkpoint.kind == "nemo2":
        made = from_nemo_2(read_yaml(checkpoint.files[MODEL_YAML]), rows=rows)
        carried = checkpoint.below(_HF_IN_NEMO_2)
    else:
        made = from_nemo_1(read_yaml(checkpoint.files[MODEL_CONFIG]), rows=rows)
        carried = checkpoint.below(_HF_IN_NEMO_1)
    assets = {name: carried[name] for name in ASSETS if name in carried}
    if "config.json" in assets:
        original = from_hugging_face(read_json(assets["config.json"]))
        sides = ("family", "layers", "hidden", "feed_forward", "heads", "groups", "head_size", "tied")
        wrong = next((each for each in sides if getattr(original, each) != getattr(made, each)), None)
        if wrong is not None:
            raise DataError(
                f"disagrees with NeMo's configuration about {wrong}",
                path=assets["config.json"].label,
                hint=_HINT,
            )
        made = replace(original, dtype=made.dtype)
    return made, assets


def _read_hugging_face(checkpoint: Checkpoint) -> DecoderModel:
    label = str(checkpoint.path)
    made = from_hugging_face(read_json(checkpoint.files["config.json"]))
    weights = read_weights(checkpoint.files, label)
    tensors: dict[str, PlannedTensor] = {}
    for rule, layer in _each(made):
        for name, shape in zip(rule.hugging_face, rule.shapes(made), strict=True):
            full = in_layer(name, layer)
            stored = weights.pop(full, None)
            if stored is None:
                raise DataError(f"the weight {full} is missing", path=label, hint=_HINT)
            if stored.shape != shape:
                raise DataError(
                    f"the weight {full} has the shape {list(stored.shape)}; config.json says {list(shape)}",
                    path=label,
                    hint=_HINT,
                )
            tensors[full] = PlannedTensor(full, stored.dtype, shape, _given(stored))
    left = sorted(
        name for name in weights if not (made.tied and name == "lm_head.weight") and "inv_freq" not in name
    )
    if left:
        raise DataError(
            f"has weights that such a model does not have: {', '.join(left[:3])[:200]}",
            path=label,
            hint=_HINT,
        )
    assets = {name: checkpoint.files[name] for name in ASSETS if name in checkpoint.files}
    return DecoderModel(_with_dtype(made, tensors), tensors, assets)


def _given(stored: StoredTensor) -> Callable[[], StoredTensor]:
    return lambda: stored


def _each(made: Architecture) -> Iterator[tuple[Rule, int]]:
    """Each weight once, in the order of a Hugging Face file."""
    for rule in rules(made):
        yield from ((rule, layer) for layer in (range(made.layers) if rule.layered else [0]))


def _with_dtype(made: Architecture, tensors: Mapping[str, PlannedTensor]) -> Architecture:
    dtype = tensors["model.embed_tokens.weight"].dtype
    if dtype not in ("BF16", "F16", "F32"):
        raise DataError(f"weights of the type {dtype} cannot be converted", hint="Use BF16, F16 or F32.")
    return replace(made, dtype=dtype)


def _unfused(made: Architecture, weights: MegatronWeights) -> Iterator[PlannedTensor]:
    for rule, layer in _each(made):
        shape = rule.megatron_shape(made)
        fused = weights.get(rule.megatron, layer if rule.layered else None, shape, padded=rule.vocabulary)
        for place, name in enumerate(rule.hugging_face):
            yield PlannedTensor(
                in_layer(name, layer),
                fused.dtype,
                rule.shapes(made)[place],
                _part(made, rule, fused, place),
            )


def _part(made: Architecture, rule: Rule, fused: PlannedTensor, place: int) -> Callable[[], StoredTensor]:
    def make() -> StoredTensor:
        whole = fused.make()
        if rule.vocabulary:
            whole = padded(whole, made.vocabulary)
        return rule.split(made, whole)[place]

    return make


def write_hugging_face(model: DecoderModel, output: Output, *, shard_bytes: int) -> None:
    """Write a Hugging Face folder.

    Args:
        model: the model.
        output: where to.
        shard_bytes: the length of a file of weights that is not exceeded if it can be helped.
    """
    copy_assets(model.assets, output, "")
    if "config.json" not in model.assets:
        output.write("config.json", _json(to_hugging_face(model.made)))
    write_weights(output, list(model.tensors.values()), shard_bytes=shard_bytes)


def write_nemo_1(model: DecoderModel, output: Output, *, multiple: int, tokenizer: str | None) -> None:
    """Write what a ``.nemo`` archive holds.

    Args:
        model: the model.
        output: where to.
        multiple: pad the embedding to a multiple of this many rows.
        tokenizer: the name of the tokenizer on Hugging Face, where there is no ``tokenizer.model``.
    """
    given: dict[str, JsonValue] = {"library": "huggingface", "type": tokenizer, "use_fast": True}
    if tokenizer is None and "tokenizer.model" in model.assets:
        given = {"library": "sentencepiece", "type": None, "model": "nemo:tokenizer.model"}
        copy_assets({"tokenizer.model": model.assets["tokenizer.model"]}, output, "")
    config = to_nemo_1(model.made, multiple=multiple, tokenizer=given)
    output.write(MODEL_CONFIG, yaml.safe_dump(config, sort_keys=False).encode())
    copy_assets(model.assets, output, _HF_IN_NEMO_1)
    write_distributed(
        output,
        "model_weights",
        _fused(model, "model.", multiple),
        empty_states=_states(model.made, "model."),
        common={},
    )


def write_nemo_2(model: DecoderModel, output: Output, *, multiple: int) -> None:
    """Write the folder of a NeMo 2 checkpoint.

    Args:
        model: the model.
        output: where to.
        multiple: pad the embedding to a multiple of this many rows.
    """
    copy_assets(model.assets, output, _HF_IN_NEMO_2)
    write_context(output, model.made, multiple=multiple)
    write_distributed(
        output,
        "weights",
        _fused(model, "module.", multiple),
        empty_states=_states(model.made, "module."),
        common=COMMON,
    )


def _states(made: Architecture, prefix: str) -> Iterator[str]:
    for name in empty_states(made):
        yield from layer_states(f"{prefix}{name}", made.layers)
    yield f"{prefix}decoder.final_layernorm._extra_state/shard_0_1"


def layer_states(name: str, layers: int) -> Iterator[str]:
    """The keys of a state that each layer has.

    Args:
        name: of the state, with ``layers.*``.
        layers: how many layers.
    """
    for layer in range(layers):
        yield f"{name.replace('layers.*.', 'layers.')}/shard_{layer}_{layers}"


def _fused(model: DecoderModel, prefix: str, multiple: int) -> Iterator[TensorToWrite]:
    for rule in rules(model.made):
        shape = rule.megatron_shape(model.made)
        if rule.vocabulary:
            shape = (-(-shape[0] // multiple) * multiple, *shape[1:])
        parts = [
            [model.tensors[in_layer(name, layer)] for name in rule.hugging_face]
            for layer in (range(model.made.layers) if rule.layered else [0])
        ]
        yield to_write(model.made, rule, f"{prefix}{rule.megatron}", parts, shape)


def to_write(
    made: Architecture,
    rule: Rule,
    name: str,
    layers: Sequence[Sequence[PlannedTensor]],
    shape: tuple[int, ...],
) -> TensorToWrite:
    """A weight of Megatron Core: that of all layers above each other, as NeMo stores it.

    Args:
        made: the decoder.
        rule: how it is made.
        name: its name, with ``layers.*``.
        layers: for each layer what it is made of.
        shape: its shape in one layer.

    Raises:
        DataError: the parts differ in type.
    """
    dtype = one_dtype(layers)
    if not rule.layered:
        chunk = ChunkToWrite((0,) * len(shape), _whole(made, rule, layers[0], shape))
        return TensorToWrite(name, dtype, shape, (chunk,))
    chunks: list[ChunkToWrite] = []
    for layer, parts in enumerate(layers):
        if not rule.gated:
            zeros = (0,) * len(shape)
            chunks.append(ChunkToWrite((layer, *zeros), _whole(made, rule, parts, (1, *shape))))
            continue
        start = 0
        for part in parts:
            chunks.append(ChunkToWrite((layer, start, 0), _box(part)))
            start += part.shape[0]
    plain = name.replace("layers.*.", "layers.")
    return TensorToWrite(plain, dtype, (len(layers), *shape), tuple(chunks))


def one_dtype(layers: Sequence[Sequence[PlannedTensor]]) -> str:
    """The type of what NeMo stores as one weight.

    Args:
        layers: for each layer what it is made of.

    Raises:
        DataError: they are of several types.
    """
    first = layers[0][0]
    for part in (part for parts in layers for part in parts):
        if part.dtype != first.dtype:
            raise DataError(
                f"{first.name} is {first.dtype}, {part.name} is {part.dtype}; NeMo stores them as one weight",
                hint="Save the model in one type first.",
            )
    return first.dtype


def _whole(
    made: Architecture, rule: Rule, parts: Sequence[PlannedTensor], shape: tuple[int, ...]
) -> Callable[[], StoredTensor]:
    def make() -> StoredTensor:
        whole = rule.join(made, [part.make() for part in parts])
        return (padded(whole, shape[0]) if rule.vocabulary else whole).shaped(shape)

    return make


def _box(part: PlannedTensor) -> Callable[[], StoredTensor]:
    return lambda: part.make().shaped((1, *part.shape))


def copy_assets(assets: Mapping[str, Extent], output: Output, prefix: str) -> None:
    """Write files that are carried along.

    Args:
        assets: the files, by name.
        output: where to.
        prefix: what to put before the names.

    Raises:
        DataError: one is longer than such a file can be.
    """
    for name, extent in assets.items():
        if extent.length > _LARGEST_ASSET:
            raise DataError(
                f"has {extent.length:,} bytes, which is too many for such a file",
                path=extent.label,
                hint="Check the file.",
            )
        with output.file(f"{prefix}{name}") as stream:
            for block in extent.blocks():
                stream.write(block)


def _json(value: JsonValue) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
