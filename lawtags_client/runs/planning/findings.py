"""What a plan found: faults of the data by line, and options that will not do what they seem to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.json_value import JsonObject
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.runs.rows import read_rows

Level = Literal["error", "warning", "note"]

_SHOWN_FAULTS = 20
_RARE = 3
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFinding:
    """Something that should be known before a job is paid for.

    Args:
        topic: what it is about: ``data``, ``leakage``, ``prompts``, ``tags``, ``training`` or ``platform``.
        level: ``error`` if the platform would refuse it, ``warning`` if it probably has to be changed.
        message: what it is.
        place: file and line, or the key of the recipe.
        remedy: what to do.
    """

    topic: str
    level: Level
    message: str
    place: str | None = None
    remedy: str | None = None

    def as_json(self) -> JsonObject:
        """The finding as one JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.message}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class _Prompts:
    rows: int = 0
    max_tokens: int = 0
    cut: int = 0
    over_limit: int = 0


@dataclass(frozen=True, slots=True)
class _Labels:
    parts: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class _Curation:
    prompts: _Prompts
    duplicates: dict[str, int]
    labels: _Labels
    bad_rows: dict[str, int]


def data_findings(curated: Path) -> list[PlanFinding]:
    """What is wrong with the data of a curated folder.

    Args:
        curated: holds ``curation.json`` and ``rejected.jsonl``.
    """
    card = read_document(_Curation, curated, "curation.json")
    return [
        *_faults(curated / "rejected.jsonl"),
        *_leakage(card.duplicates),
        *_cut(card.prompts),
        *_tags(card.labels.parts),
    ]


def training_findings(
    training: TrainingSection, rows: Mapping[str, int], steps: int, *, tokens_per_epoch: int
) -> list[PlanFinding]:
    """Options of a training that will not do what they seem to.

    Args:
        training: hyperparameters.
        rows: how many there are, by part.
        steps: of the optimizer.
        tokens_per_epoch: of all training rows.
    """
    return [
        PlanFinding(topic="training", level=level, place=f"training.{key}", message=message, remedy=remedy)
        for level, key, message, remedy in _of_training(training, rows, steps, tokens_per_epoch)
    ]


def _of_training(
    training: TrainingSection, rows: Mapping[str, int], steps: int, tokens: int
) -> Iterator[tuple[Level, str, str, str | None]]:
    per_epoch = -(-rows["training"] // training.batch_size)
    whole = per_epoch * training.epochs
    warmup = training.warmup_steps
    if warmup is not None and warmup >= steps:
        told = f"{warmup} warm-up steps are longer than the {steps} steps of the run; {steps - 1} are sent."
        yield "warning", "warmup_steps", told, f"Leave it out for {max(1, steps // 10)}, a tenth."
    elif warmup is not None and warmup > steps / 2:
        yield "note", "warmup_steps", f"The warm-up takes {warmup} of {steps} steps.", None
    if training.max_steps is not None and training.max_steps > whole:
        told = f"{training.max_steps:,} steps are more than {training.epochs} epochs have ({whole:,})."
        enough = -(-training.max_steps // per_epoch)
        yield "warning", "max_steps", told, f"Set training.epochs to {enough} for all of them."
    if steps < whole:
        share = steps * training.batch_size / max(rows["training"], 1)
        told = f"The run ends after {steps:,} of {whole:,} steps: {share:.2g} passes over the rows."
        key = (
            "max_steps" if training.max_steps is not None and steps == training.max_steps else "token_budget"
        )
        yield "note", key, told, None
    if training.batch_size > rows["training"]:
        told = f"A batch of {training.batch_size} rows is larger than the {rows['training']} training rows."
        yield "warning", "batch_size", told, "Lower it."
    elif rows["training"] % training.batch_size and per_epoch < 20:
        last = rows["training"] % training.batch_size
        rest = f"{last} row{'s' * (last != 1)}"
        told = f"{rows['training']} rows make {per_epoch} steps per epoch, the last one with {rest}."
        yield "note", "batch_size", told, None
    interval = training.val_check_interval
    if isinstance(interval, int) and interval > per_epoch:
        told = f"A validation every {interval} steps is less often than an epoch of {per_epoch} steps."
        yield "note", "val_check_interval", told, "Platforms validate once per epoch then."
    if training.log_every_n_steps is not None and training.log_every_n_steps > steps:
        told = f"No training loss is reported: the run has {steps} steps."
        yield "warning", "log_every_n_steps", told, "Lower it."
    if training.token_budget is not None and training.token_budget >= tokens * training.epochs:
        told = f"It has no effect: all epochs together have {tokens * training.epochs:,} tokens."
        yield "note", "token_budget", told, None


def _faults(path: Path) -> Iterator[PlanFinding]:
    """Rows that could not be read, by line, and how many the filters dropped."""
    dropped: Counter[str] = Counter()
    unread = 0
    for row in read_rows(path) if path.is_file() else ():
        if row.get("step") != "read":
            dropped[str(row.get("step"))] += 1
            continue
        unread += 1
        if unread <= _SHOWN_FAULTS:
            field = f'"{row["field"]}" ' if row.get("field") else ""
            yield PlanFinding(
                topic="data",
                level="warning",
                place=f"{row.get('file')}:{row.get('line')}",
                message=f"{field}{row.get('reason')}; the row is left out.",
            )
    if unread > _SHOWN_FAULTS:
        more = unread - _SHOWN_FAULTS
        yield PlanFinding(
            topic="data",
            level="warning",
            message=f"{more} more row{'s' * (more != 1)} cannot be read.",
            remedy=_ALL,
        )
    for step, rows in dropped.most_common():
        yield PlanFinding(
            topic="data", level="note", message=f"{step} drops {rows:,} row{'s' * (rows != 1)}.", remedy=_ALL
        )


_ALL = "curated/rejected.jsonl names each of them."


def _leakage(found: Mapping[str, int]) -> Iterator[PlanFinding]:
    if leaked := found.get("leakage", 0):
        told = f"{leaked} rows that are held out have duplicates among the training rows."
        yield PlanFinding(
            topic="leakage", level="warning", message=told, remedy="Set curation.duplicates.near."
        )
    if kept := found.get("would_have_leaked", 0):
        told = f"{kept} rows would have leaked between the parts; their duplicates are kept together."
        yield PlanFinding(topic="leakage", level="note", message=told)


def _cut(prompts: _Prompts) -> Iterator[PlanFinding]:
    if prompts.cut:
        told = f"{prompts.cut:,} of {prompts.rows:,} prompts are cut to {prompts.max_tokens} tokens."
        level: Level = "warning" if prompts.cut > 0.1 * prompts.rows else "note"
        yield PlanFinding(
            topic="prompts",
            level=level,
            place="curation.style.max_tokens",
            message=told,
            remedy="Raise it to let the model read more of each question.",
        )
    if prompts.over_limit:
        told = (
            f"{prompts.over_limit:,} prompts are longer than {prompts.max_tokens} tokens even without body."
        )
        yield PlanFinding(topic="prompts", level="warning", place="curation.style.max_tokens", message=told)


def _tags(parts: Mapping[str, Mapping[str, int]]) -> Iterator[PlanFinding]:
    rare = [tag for tag, rows in parts.items() if 0 < rows.get("training", 0) < _RARE]
    unseen = [tag for tag, rows in parts.items() if not rows.get("training", 0)]
    if rare:
        told = f"{len(rare)} of {len(parts)} tags have fewer than {_RARE} training rows: {_some(rare)}."
        level: Level = "warning" if len(rare) > len(parts) / 2 else "note"
        yield PlanFinding(
            topic="tags",
            level=level,
            place="curation.tags.min_count",
            message=told,
            remedy="Raise it, or add rows.",
        )
    if unseen:
        told = f"Tags that are held out and have no training row ({len(unseen)}): {_some(unseen)}."
        yield PlanFinding(topic="tags", level="note", message=told, remedy="No model can learn them.")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
