"""A plan as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.json_value import JsonObject
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.past_trainings import PastTraining, past_trainings
from lawtags_client.runs.planning.memory import MemoryEstimate
from lawtags_client.runs.planning.rendered_row import RenderedRow, render_row
from lawtags_client.runs.planning.timing import TimeEstimate
from lawtags_client.runs.quantities import money
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.rehearsal import PlannedRequest
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.tokens import token_counter

Section = tuple[str, list[str]]


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan, one of its rows, and how earlier estimates fared.

    Args:
        folder: of the plan.
        plan: what was planned.
        row: the first training row, rendered; None if there is none, or if it is a chat.
        past: earlier trainings with this config and method.
        requests: what the run will send until its job is submitted.
    """

    folder: Path
    plan: JobPlan
    row: RenderedRow | None
    past: tuple[PastTraining, ...]
    requests: Sequence[PlannedRequest] = ()

    @classmethod
    def of(cls, folder: Path, plan: JobPlan, recipe: Recipe, requests: Sequence[PlannedRequest]) -> PlanView:
        """The view of a plan.

        Args:
            folder: of the plan, in ``plans`` of the folder of runs.
            plan: what was planned.
            recipe: of the plan.
            requests: that the run will send.
        """
        rows = read_rows(folder / "curated" / "training" / "training.jsonl")
        first = next(rows, None)
        tokenizer = token_counter(recipe.model.tokenizer).path
        rendered = render_row(first, None, tokenizer, plan.max_seq_length) if first is not None else None
        past = past_trainings(folder.parent.parent, plan.config, recipe.training.method)
        return cls(folder, plan, rendered, tuple(past), requests)

    def as_json(self) -> JsonObject:
        """What is shown beside the plan itself."""
        return {
            "row": self.row.as_json() if self.row else None,
            "requests": [each.as_json() for each in self.requests],
            "earlier": [
                {
                    "run": each.run,
                    "seconds": each.seconds,
                    "memory": each.memory,
                    "estimated_seconds": each.planned.time.seconds if each.planned.time else None,
                    "estimated_memory": each.planned.memory.total if each.planned.memory else None,
                }
                for each in self.past
            ],
        }

    def sections(self) -> Iterator[Section]:
        """Title and lines of each part, for the terminal."""
        plan, tokens = self.plan, self.plan.tokens
        counted = "" if tokens.counter == "tokenizer" else " (estimated: set model.tokenizer to count them)"
        rows = ", ".join(f"{count:,} {part}" for part, count in plan.rows.items())
        yield (
            f"Plan of {plan.config}",
            [
                f"rows: {rows}",
                f"tokens: {tokens.training_total:,} of training, {tokens.mean:g} per row, "
                f"longest {tokens.longest:,}{counted}",
                f"steps: {plan.steps:,}, {plan.rows_seen or 0:,} rows seen",
                f"output: {plan.output_model}",
            ],
        )
        yield "Hyperparameters, as they are sent", [f"{name}: {v}" for name, v in _flat(plan.hyperparameters)]
        if plan.memory is not None:
            yield f"Memory: {plan.memory.total / 1e9:.2f} GB", _memory(plan.memory)
        if plan.time is not None:
            yield f"Time: {_duration(plan.time.seconds)}", _time(plan.time)
        if plan.stage_seconds:
            yield (
                "Stages, by earlier runs of the recipe",
                [f"{stage}: {_duration(seconds)}" for stage, seconds in plan.stage_seconds.items()],
            )
        if self.past:
            yield "Earlier runs: fact against estimate", [_compared(each) for each in self.past]
        if self.row is not None:
            yield "First training row; what carries loss is in [ ]", _row(self.row)
        if self.requests:
            title = f"Requests until the job is submitted; bodies are in {self.folder}"
            yield title, [str(each) for each in self.requests]
        for level, title in _LEVELS:
            if found := [str(each) for each in plan.findings if each.level == level]:
                yield title, found


_LEVELS = (("note", "Notes"), ("warning", "Warnings"), ("error", "This job would be refused"))


def _flat(values: JsonObject, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _memory(memory: MemoryEstimate) -> list[str]:
    lines = [
        f"{part}: {size / 1e9:.2f} GB = {memory.formula.get(part, '')}" for part, size in memory.parts.items()
    ]
    if memory.corrected_by:
        lines.append(f"correction by {memory.corrected_by} earlier runs: {memory.correction / 1e9:+.2f} GB")
    return lines


def _time(time: TimeEstimate) -> list[str]:
    lines = [f"from {time.basis}"]
    if time.corrected_by:
        lines.append(f"corrected by {time.corrected_by} earlier runs: without them {time.uncorrected:,.0f} s")
    if time.gpu_hours is not None:
        price = "" if time.price is None else f", {money(time.price, time.currency)}"
        without = " (pass --rates FILE for a price)" if time.price is None else ""
        lines.append(f"GPU-hours: {time.gpu_hours:.2f} on {time.gpus} x {time.gpu}{price}{without}")
    elif time.price is not None:
        lines.append(f"price: {money(time.price, time.currency)}")
    return lines


def _compared(past: PastTraining) -> str:
    planned = past.planned
    told = [past.run]
    if past.seconds is not None:
        told.append(
            f"{past.seconds:,.0f} s" + _against(past.seconds, planned.time.seconds if planned.time else None)
        )
    if past.memory is not None:
        against = _against(past.memory, planned.memory.total if planned.memory else None)
        told.append(f"{past.memory / 1e9:.2f} GB{against}")
    return ", ".join(told)


def _against(fact: float, estimate: float | None) -> str:
    return "" if not estimate else f" ({100 * (fact / estimate - 1):+.0f} % of the estimate)"


def _row(row: RenderedRow) -> list[str]:
    if row.tokens is None:
        return [*row.prompt.splitlines(), f"[{row.answer}]", "(tokens are shown with model.tokenizer)"]
    cut = [f"({row.dropped} tokens are cut off before this)"] if row.dropped else []
    text = "".join(_shown(row, loss=False)) + "".join(_shown(row, loss=True))
    learned = sum(token.loss for token in row.tokens)
    return [*cut, *text.splitlines(), f"({len(row.tokens)} tokens, {learned} with loss)"]


def _shown(row: RenderedRow, *, loss: bool) -> Sequence[str]:
    texts = [token.text for token in row.tokens or () if token.loss is loss]
    return [f"[{text}]" for text in texts] if loss else texts


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
