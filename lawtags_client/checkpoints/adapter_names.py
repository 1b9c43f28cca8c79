"""How NeMo and PEFT name the weights of LoRA adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lawtags_client.checkpoints.architecture import Architecture
from lawtags_client.checkpoints.mapping import Rule, rules

Side = Literal["A", "B"]
SIDES: Mapping[Side, str] = {"A": "linear_in", "B": "linear_out"}
"""Sides of an adapter as PEFT names them, and as NeMo does."""
Variant = Literal["nemo1", "nemo2"]


@dataclass(frozen=True, slots=True)
class AdaptedModule:
    """A weight of Megatron Core that an adapter can change.

    Args:
        module: its name in NeMo 2, as in the ``target_modules`` of LoRA.
        parts: what PEFT calls its parts, in order.
        nemo_1: what NeMo 1 calls its adapter.
        canonical: NeMo 2's name of the adapter of each part, and of the module in ``target_modules``.
        canonical_1: NeMo 1's name of the adapter of each part.
        norm_after: whether Gemma 2 has a norm after it.
    """

    module: str
    parts: tuple[str, ...]
    nemo_1: str
    canonical: tuple[tuple[str, str], ...] = ()
    canonical_1: tuple[str, ...] = ()
    norm_after: bool = False

    @property
    def block(self) -> str:
        """The block of a layer that it stands in."""
        return "self_attention" if self.module in ("linear_qkv", "linear_proj") else "mlp"

    def fused(self, variant: Variant, side: Side) -> str:
        """The name of one side of the adapter of the whole weight.

        Args:
            variant: of which NeMo.
            side: which side.
        """
        if variant == "nemo1":
            return f"decoder.layers.*.{self.block}.adapter_layer.{self.nemo_1}.{SIDES[side]}.weight"
        return f"decoder.layers.*.{self.block}.{self.module}.adapter.{SIDES[side]}.weight"

    def separate(self, variant: Variant, part: int, side: Side) -> str:
        """The name of one side of the adapter of one part.

        Args:
            variant: of which NeMo.
            part: which part.
            side: which side.
        """
        if variant == "nemo1":
            inner = self.canonical_1[part]
            return f"decoder.layers.*.{self.block}.adapter_layer.{inner}.{SIDES[side]}.weight"
        inner = self.canonical[part][0]
        return f"decoder.layers.*.{self.block}.{self.module}.adapter.{inner}.{SIDES[side]}.weight"


MODULES = (
    AdaptedModule(
        "linear_qkv",
        ("q_proj", "k_proj", "v_proj"),
        "lora_kqv_adapter",
        (("adapter_q", "linear_q"), ("adapter_k", "linear_k"), ("adapter_v", "linear_v")),
        tuple(f"lora_unfused_kqv_adapter.{part}_adapter" for part in "qkv"),
    ),
    AdaptedModule("linear_proj", ("o_proj",), "lora_dense_attention_adapter", norm_after=True),
    AdaptedModule(
        "linear_fc1",
        ("gate_proj", "up_proj"),
        "lora_hto4h_adapter",
        (("adapter_gate", "linear_fc1_gate"), ("adapter_up", "linear_fc1_up")),
        tuple(f"lora_unfused_hto4h_adapter.{part}_adapter" for part in ("gate", "up")),
    ),
    AdaptedModule("linear_fc2", ("down_proj",), "lora_4htoh_adapter", norm_after=True),
)
"""The weights that an adapter can change."""
PARTS = tuple(part for module in MODULES for part in module.parts)
"""What PEFT calls them."""
_PEFT = re.compile(
    r"base_model\.model\.model\.layers\.(\d{1,6})\.(self_attn|mlp)\.(\w+)\.lora_([AB])(?:\.default)?\.weight"
)


def peft_name(layer: int, part: str, side: Side) -> str:
    """PEFT's name of one side of an adapter.

    Args:
        layer: of which layer.
        part: of which weight, e.g. ``"q_proj"``.
        side: which side.
    """
    block = "self_attn" if part in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
    return f"base_model.model.model.layers.{layer}.{block}.{part}.lora_{side}.weight"


def parsed_peft_name(name: str) -> tuple[int, str, Side] | None:
    """Layer, weight and side of a name of PEFT; ``None`` where it is another name."""
    match = _PEFT.fullmatch(name)
    if match is None or match[3] not in PARTS:
        return None
    side: Side = "A" if match[4] == "A" else "B"
    found = int(match[1]), match[3], side
    return found if peft_name(*found) == name.replace(".default.", ".") else None


def rule_of(made: Architecture, module: AdaptedModule) -> Rule:
    """How the weight that a module adapts is made."""
    return next(rule for rule in rules(made) if rule.megatron.endswith(f".{module.module}.weight"))
