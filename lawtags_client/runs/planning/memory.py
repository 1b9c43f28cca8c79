"""How much memory a training takes, part by part, by a formula that is shown.

On a GPU the parts are those of mixed precision with Adam, as NeMo trains. Activations are kept for the
backward pass with flash attention and without recomputation: 34 bytes per token, layer and unit of width in a
plain transformer (Korthikanti et al., 2022). On the CPU of the embedded stack, everything has four bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lawtags_client.platform import TrainingLayout
from lawtags_client.runs.planning.shapes import ModelShape
from lawtags_client.runs.recipe import TrainingSection

__all__ = [
    "MemoryEstimate",
    "RowLengths",
    "estimate_memory",
    "trained_parameters",
]

_GPU_CONTEXT = 1_500_000_000
_GPU_SPARE = 0.08
TRAINED_WEIGHT = {"bf16": 2, "master": 4, "gradient": 4, "Adam": 8}
"""Bytes of a trained weight on a GPU: NeMo accumulates gradients in fp32."""
CPU_PROCESS = 430_000_000
"""Bytes of a worker of the embedded stack without a model: 300 MB of interpreter, torch and transformers, and
the compiled products that a training keeps."""
CPU_TOKENS = 512
"""Padded tokens of a forward pass of the embedded stack on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """The memory of one GPU, or of the worker of the embedded stack.

    Args:
        parts: bytes by part.
        formula: how each part was computed.
        correction: what earlier runs needed in addition, in bytes.
        corrected_by: how many earlier runs that was.
    """

    parts: dict[str, int]
    formula: dict[str, str]
    correction: int = 0
    corrected_by: int = 0

    @property
    def uncorrected(self) -> int:
        """All parts together, in bytes."""
        return sum(self.parts.values())

    @property
    def total(self) -> int:
        """What is expected, in bytes."""
        return max(0, self.uncorrected + self.correction)


@dataclass(frozen=True, slots=True)
class RowLengths:
    """Lengths of the rows of a batch, in tokens.

    Args:
        longest: of a whole row, after truncation.
        answer: of the longest answer.
        mean: of a whole row.
    """

    longest: int
    answer: int
    mean: float


def estimate_memory(
    training: TrainingSection,
    shape: ModelShape,
    layout: TrainingLayout,
    rows: RowLengths,
    *,
    process: int = CPU_PROCESS,
) -> MemoryEstimate:
    """The memory of a training.

    Args:
        training: hyperparameters.
        shape: of the base model.
        layout: the hardware.
        rows: lengths of the training rows.
        process: bytes of the worker without a model, where it trains on a CPU.
    """
    if layout.gpus == 0:
        return _on_cpu(training, shape, rows, process)
    return _on_gpu(training, shape, layout, rows)


def trained_parameters(training: TrainingSection, shape: ModelShape, *, fused: bool = False) -> int:
    """How many weights are trained.

    Args:
        training: hyperparameters.
        shape: of the base model.
        fused: whether modules with the same input share an adapter, as in NeMo.
    """
    if training.method == "all_weights":
        return shape.parameters
    return shape.adapter_parameters(training.adapter_dim, training.target_modules, fused=fused)


def _on_gpu(
    training: TrainingSection, shape: ModelShape, layout: TrainingLayout, rows: RowLengths
) -> MemoryEstimate:
    shards = layout.tensor_parallel * layout.pipeline_parallel
    trained = trained_parameters(training, shape, fused=True)
    frozen = 0 if training.method == "all_weights" else shape.parameters
    micro = training.micro_batch_size or layout.micro_batch_size
    tokens = micro * rows.longest
    width, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    per_layer = 10 * shape.hidden + 4 * width + 4 * keys + 6 * shape.ffn
    per_weight = sum(TRAINED_WEIGHT.values())
    parts = {
        "frozen weights": 2 * frozen // shards,
        "trained weights and optimizer": per_weight * trained // shards,
        "activations": tokens * shape.layers * per_layer // shards,
        "logits": tokens * shape.vocabulary * 10 // layout.tensor_parallel,
        "context": _GPU_CONTEXT,
    }
    parts["fragmentation"] = int(_GPU_SPARE * sum(parts.values()))
    formula = {
        "frozen weights": f"{frozen:,} weights x 2 bytes",
        "trained weights and optimizer": f"{trained:,} weights x {per_weight} bytes "
        f"({_told(TRAINED_WEIGHT)})",
        "activations": f"{tokens:,} tokens x {shape.layers} layers x {per_layer:,} bytes",
        "logits": f"{tokens:,} tokens x {shape.vocabulary:,} x 10 bytes",
        "context": "CUDA and its libraries",
        "fragmentation": f"{_GPU_SPARE:.0%} of the above",
    }
    if shards > 1:
        formula["frozen weights"] += f" / {shards} GPUs"
    return MemoryEstimate(parts=parts, formula=formula)


def _told(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{size} {name}" for name, size in parts.items())


def _on_cpu(training: TrainingSection, shape: ModelShape, rows: RowLengths, process: int) -> MemoryEstimate:
    trained = trained_parameters(training, shape)
    frozen = 0 if training.method == "all_weights" else shape.parameters
    fitting = max(1, CPU_TOKENS // max(1, rows.longest))
    count = min(training.batch_size, fitting)
    tokens, answers = count * rows.longest, count * (rows.answer + 1)
    width = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    per_layer = 4 * (8 * shape.hidden + 3 * width + 4 * shape.ffn)
    parts = {
        "process": process,
        "frozen weights": 4 * frozen,
        "trained weights and optimizer": 20 * trained,
        "activations": tokens * shape.layers * per_layer,
        "logits": answers * shape.vocabulary * 12,
    }
    formula = {
        "process": "interpreter, torch, transformers, and compiled products",
        "frozen weights": f"{frozen:,} weights x 4 bytes",
        "trained weights and optimizer": f"{trained:,} weights x 20 bytes (4, 4 gradient, 8 Adam, 4 best)",
        "activations": f"{tokens:,} tokens x {shape.layers} layers x {per_layer:,} bytes",
        "logits": f"{answers:,} tokens of answers x {shape.vocabulary:,} x 12 bytes",
    }
    return MemoryEstimate(parts=parts, formula=formula)
