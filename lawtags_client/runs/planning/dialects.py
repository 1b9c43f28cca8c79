"""What a recipe wants and a platform cannot express, or decides itself."""

from __future__ import annotations

from collections.abc import Iterator

from lawtags_client.platform import TrainingConfig, TrainingLayout
from lawtags_client.platform.helix_jobs import TRAINED_TOKENS, helix_names
from lawtags_client.runs.hyperparameters import V1_NAMES
from lawtags_client.runs.planning.findings import Level, PlanFinding
from lawtags_client.runs.recipe import TrainingSection

_CLIP = "NeMo Microservices has no field for it. The embedded stack clips gradients at a norm of 1.0."
_HELIX_CLIP = "NeMo Helix has no field for it in supervised training."


def dialect_findings(training: TrainingSection, config: TrainingConfig) -> list[PlanFinding]:
    """What of a training section does not reach the platform, or means something else there.

    Args:
        training: hyperparameters.
        config: of the platform.
    """
    found = _v1(training, config) if config.dialect == "v1" else _helix(training)
    findings = [
        PlanFinding(topic="platform", level=level, place=f"training.{key}", message=message)
        for level, key, message in found
    ]
    if config.dialect == "helix" and not config.checked:
        told = f"Taken to be the model {config.base_model}: a run looks for it among those of the platform."
        findings.append(PlanFinding(topic="platform", level="note", place="model.config", message=told))
    return findings


def _v1(training: TrainingSection, config: TrainingConfig) -> Iterator[tuple[Level, str, str]]:
    layout = config.layouts.get(("sft", training.method), TrainingLayout())
    known = config.checked and bool(config.layouts)
    for key, wanted, there in (
        ("micro_batch_size", training.micro_batch_size, layout.micro_batch_size if known else None),
        ("precision", training.precision, config.precision if config.checked else None),
        ("max_seq_length", training.max_seq_length, config.max_seq_length if config.checked else None),
    ):
        if wanted is None:
            continue
        if there is None:
            yield "note", key, f"Not sent: the config decides, and what it says is not known here ({wanted})."
        elif _alike(wanted, there):
            yield "note", key, f"Not sent: the config decides, and says {there}, too."
        else:
            yield "warning", key, f"Not sent: the config {config.name} says {there}, the recipe {wanted}."
    if training.gradient_clip is not None:
        yield "warning", "gradient_clip", f"Not sent: {_CLIP}"
    flat = training.optimizer is not None and training.optimizer.endswith("_flat_lr")
    if training.min_learning_rate == 0 and not flat:
        tenth = f"{training.learning_rate / 10:.6g}"
        yield "warning", "min_learning_rate", f"v1 takes 0 for a tenth of learning_rate, {tenth}."
    if flat:
        for key in ("min_learning_rate", "adam_beta1", "adam_beta2"):
            if getattr(training, key) is not None:
                yield "note", key, f"v1 uses it with a cosine only, not with {training.optimizer}."
    if training.max_steps is not None or training.epochs > 10:
        yield "note", "max_steps", "v1 also ends a job early after 10 epochs without a lower validation loss."


def _helix(training: TrainingSection) -> Iterator[tuple[Level, str, str]]:
    names = helix_names()
    for key in training.model_fields_set:
        name = V1_NAMES.get(key, key)
        if name not in names and key not in ("token_budget", "gradient_clip"):
            yield "note", key, "Not sent: NeMo Helix reports every ten seconds, with the whole series."
    if training.gradient_clip is not None:
        yield "warning", "gradient_clip", f"Not sent: {_HELIX_CLIP}"
    if training.max_seq_length is None:
        yield "note", "max_seq_length", f"Rows are cut to {TRAINED_TOKENS:,} tokens, Helix's own default."
    fused = [name for name in training.target_modules or () if name.rpartition(".")[2].startswith("linear_")]
    if fused:
        told = f"Helix takes Hugging Face's names of layers, not {', '.join(fused)}: lawtags migrate."
        yield "warning", "target_modules", told


def _alike(wanted: int | str, there: int | str) -> bool:
    # bf16-mixed has master weights, which bf16 of the seed's trainer has, too.
    return str(wanted).removesuffix("-mixed") == str(there).removesuffix("-mixed")
