"""LoRA adapters: written for PEFT or NeMo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from lawtags_client.checkpoints.adapter_names import MODULES, SIDES, AdaptedModule, Variant, rule_of
from lawtags_client.checkpoints.adapters import CONFIG, LoraAdapter
from lawtags_client.checkpoints.architecture import Architecture
from lawtags_client.checkpoints.detection import MODEL_CONFIG
from lawtags_client.checkpoints.distributed_writing import TensorToWrite, write_distributed
from lawtags_client.checkpoints.mapping import Rule, in_layer
from lawtags_client.checkpoints.models import copy_assets, layer_states, one_dtype, to_write
from lawtags_client.checkpoints.nemo_configs import to_nemo_1
from lawtags_client.checkpoints.nemo_context import COMMON, write_context
from lawtags_client.checkpoints.output import Output
from lawtags_client.checkpoints.safetensors_files import ADAPTER, write_safetensors
from lawtags_client.checkpoints.tensors import PlannedTensor, StoredTensor
from lawtags_client.checkpoints.torch_files import write_state_dict
from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue

_LORA = "nemo.collections.llm.peft.lora.LoRA"
_CANONICAL = "nemo.collections.llm.peft.canonical_lora.CanonicalLoRA"


def write_peft(adapter: LoraAdapter, output: Output) -> None:
    """Write the folder of an adapter for PEFT, vLLM and NIM.

    Args:
        adapter: the adapter.
        output: where to.
    """
    alpha = int(adapter.alpha) if float(adapter.alpha).is_integer() else adapter.alpha
    parts = sorted({part for _, part, _ in adapter.tensors})
    config: dict[str, JsonValue] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": adapter.rank,
        "lora_alpha": alpha,
        "lora_dropout": adapter.dropout,
        "target_modules": parts,
        "bias": "none",
        "inference_mode": True,
    }
    output.write(CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    write_safetensors(output, ADAPTER, adapter.tensors.values())


def write_nemo_adapter(adapter: LoraAdapter, output: Output, variant: Variant) -> None:
    """Write an adapter of NeMo.

    Args:
        adapter: the adapter.
        output: where to.
        variant: of which NeMo.

    Raises:
        DataError: it adapts a weight in some layers only, or gate and up or queries, keys and values of one
            layer partly alike, or in several types.
    """
    plans = [plan for module in MODULES for plan in _planned(adapter, module, variant)]
    canonical = any(plan.separate for plan in plans)
    if variant == "nemo1":
        _write_nemo_1(adapter, output, plans, canonical=canonical)
        return
    copy_assets(adapter.assets, output, "context/nemo_tokenizer/")
    targets: list[JsonValue] = list(dict.fromkeys(plan.target for plan in plans))
    arguments: dict[str, JsonValue] = {
        "target_modules": targets,
        "dim": adapter.rank,
        "alpha": adapter.alpha,
        "dropout": adapter.dropout,
        "dropout_position": "pre",
    }
    write_context(output, adapter.made, multiple=1, transform=(_CANONICAL if canonical else _LORA, arguments))
    metadata = json.dumps({"model_ckpt_path": adapter.base or ""})
    output.write("weights/adapter_metadata.json", metadata.encode())
    states = [name for plan in plans for name in layer_states(plan.state, adapter.made.layers)]
    tensors = [plan.to_write(adapter.made) for plan in plans]
    write_distributed(output, "weights", tensors, empty_states=states, common=COMMON)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One side of an adapter in NeMo: of all layers."""

    name: str
    target: str
    separate: bool
    rule: Rule
    layers: list[list[PlannedTensor]]

    @property
    def state(self) -> str:
        return f"module.{self.name.removesuffix('weight')}_extra_state"

    def to_write(self, made: Architecture) -> TensorToWrite:
        parts = self.layers[0]
        shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
        return to_write(made, self.rule, f"module.{self.name}", self.layers, shape)

    def whole(self, made: Architecture, layer: int) -> StoredTensor:
        return self.rule.join(made, [part.make() for part in self.layers[layer]])


def _planned(adapter: LoraAdapter, module: AdaptedModule, variant: Variant) -> Iterator[_Plan]:
    present = [part for part in module.parts if adapter.layers_of(part)]
    for part in present:
        if len(adapter.layers_of(part)) != adapter.made.layers:
            raise DataError(
                f"adapts {part} in {len(adapter.layers_of(part))} of {adapter.made.layers} layers;"
                " NeMo needs all or none",
                hint="Train it again with this weight in all layers.",
            )
    if not present:
        return
    rule = rule_of(adapter.made, module)
    plain = _plain_rule(rule)
    fused = present == list(module.parts) and _same_inner(adapter, module)
    if fused:
        name = module.fused(variant, "A")
        inner = [[adapter.tensors[layer, present[0], "A"]] for layer in range(adapter.made.layers)]
        outer = [
            [adapter.tensors[layer, part, "B"] for part in present] for layer in range(adapter.made.layers)
        ]
        yield _Plan(name, module.module, False, plain, inner)
        yield _Plan(module.fused(variant, "B"), module.module, False, rule, outer)
        return
    for part in present:
        place = module.parts.index(part)
        for side in SIDES:
            layers = [[adapter.tensors[layer, part, side]] for layer in range(adapter.made.layers)]
            target = module.canonical[place][1]
            yield _Plan(module.separate(variant, place, side), target, True, plain, layers)


def _plain_rule(rule: Rule) -> Rule:
    return Rule(rule.megatron, (), rule.shapes, lambda _, parts: parts[0], rule.split)


def _same_inner(adapter: LoraAdapter, module: AdaptedModule) -> bool:
    """Whether the parts share their first side, as an adapter of the whole weight does."""
    for layer in range(adapter.made.layers):
        first, *others = (
            b"".join(adapter.tensors[layer, part, "A"].make().blocks()) for part in module.parts
        )
        if any(other != first for other in others):
            return False
    return True


def _write_nemo_1(adapter: LoraAdapter, output: Output, plans: list[_Plan], *, canonical: bool) -> None:
    config = to_nemo_1(adapter.made, multiple=1, tokenizer={"library": "huggingface", "type": adapter.base})
    targets: list[JsonValue] = []
    named = {"linear_qkv": "attention_qkv", "linear_proj": "attention_dense"}
    named |= {"linear_fc1": "mlp_fc1", "linear_fc2": "mlp_fc2"}
    for module in MODULES:
        if any(adapter.layers_of(part) for part in module.parts):
            targets.append(named[module.module])
    lora: dict[str, JsonValue] = {
        "target_modules": targets,
        "adapter_dim": adapter.rank,
        "alpha": adapter.alpha,
        "adapter_dropout": adapter.dropout,
        "dropout_position": "pre",
        "variant": "canonical" if canonical else "nemo",
    }
    config["peft"] = {"peft_scheme": "lora", "lora_tuning": lora}
    output.write(MODEL_CONFIG, yaml.safe_dump(config, sort_keys=False).encode())
    copy_assets(adapter.assets, output, "hf/")
    for plan in plans:
        one_dtype(plan.layers)
    state = {
        f"model.{in_layer(plan.name, layer)}": plan.whole(adapter.made, layer)
        for plan in plans
        for layer in range(adapter.made.layers)
    }
    with output.file("model_weights.ckpt") as stream:
        write_state_dict(stream, state)
