"""Repeats: the run once more on other splits, so that the verdict does not depend on the luck of one.

Each repeat is a run of its own in ``repeats/NUMBER``, with a ledger of its own: it resumes after a kill,
and submits its job once. The run itself is the first repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError
from lawtags_client.files import atomic_write_json
from lawtags_client.json_value import JsonObject
from lawtags_client.runs.gates import judge_repeats
from lawtags_client.runs.language_model import WITH_LANGUAGE_MODEL
from lawtags_client.runs.metrics import FILE as METRICS
from lawtags_client.runs.metrics import Metrics, read_metrics
from lawtags_client.runs.outputs import CurateOutput, EvaluateOutput, PredictOutput, RepeatsOutput
from lawtags_client.runs.pooling import SplitSampling, pool
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe, RepeatedSystems
from lawtags_client.runs.repeats import FILE, FOLDER, Varied
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.stage import RunContext, Stage, file_digests
from lawtags_client.runs.stages.baselines import Baselines
from lawtags_client.runs.stages.blend import FitBlend
from lawtags_client.runs.stages.curate import Curate
from lawtags_client.runs.stages.customize import Customize
from lawtags_client.runs.stages.encoder import TuneEncoder
from lawtags_client.runs.stages.evaluate import ScoredRows
from lawtags_client.runs.stages.plan import Plan, check_parts
from lawtags_client.runs.stages.predict import Predict
from lawtags_client.runs.stages.serve import Serve
from lawtags_client.runs.stages.upload import Upload
from lawtags_client.runs.training_monitor import TrainingState
from lawtags_client.runs.verdict import SYSTEMS

if TYPE_CHECKING:
    from lawtags_client.curation import SplitOptions

_SYSTEMS: Mapping[RepeatedSystems, tuple[str, ...]] = {
    "local": tuple(name for name in SYSTEMS if name not in WITH_LANGUAGE_MODEL),
    "all": tuple(SYSTEMS),
}


class RepeatRuns:
    """Carries out the repeats that are missing, and writes ``repeats.json``."""

    name = "repeats"
    version = 1
    leaves = RepeatsOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "repeats": context.recipe.evaluation.repeats,
            "systems": context.recipe.evaluation.repeated_systems,
            "metrics": context.left(EvaluateOutput).files,
            "curation": context.left(CurateOutput).digest,
            **({"gates": [gate.model_dump() for gate in gates]} if (gates := context.recipe.gates) else {}),
        }

    async def run(self, context: RunContext) -> RepeatsOutput:
        options, varied = context.recipe.evaluation, _varied(context.recipe, context.test)
        gates = context.recipe.gates
        rows, verdicts, missing = [context.left(CurateOutput).rows], [read_metrics(context.folder)], 0
        for number in range(2, options.repeats + 1):
            found = await _Repeat(context, number).run()
            rows.append(found.rows)
            verdicts.append(found.metrics)
            missing += found.missing
        context.progress.update(options.repeats, options.repeats, "pooling")
        pooled = pool(
            verdicts,
            sampling=_sampling(rows, varied),
            systems=_SYSTEMS[options.repeated_systems],
            repeated_systems=options.repeated_systems,
            varied=varied,
            seeds=[_seed(context.recipe, varied) + number for number in range(options.repeats)],
            metrics_sha256=context.left(EvaluateOutput).files[METRICS],
            pairs=[(gate.system, gate.better_than) for gate in gates if gate.better_than],
        )
        pooled = replace(pooled, gates=tuple(judge_repeats(gates, verdicts, pooled)))
        path = context.folder / FILE
        atomic_write_json(path, pooled.as_json())
        return RepeatsOutput(
            files=file_digests(context.folder, [path]),
            missing=missing,
            summary={name: round(figures["micro_f1"].mean, 3) for name, figures in pooled.ranked},
        )


def repeated(recipe: Recipe, number: int) -> Recipe:
    """The recipe of a repeat: the same one, with its seeds counted up.

    Args:
        recipe: of the run, which is the first repeat.
        number: of the repeat.
    """
    split = {**_split_of(recipe), "seed": _split_options(recipe).seed + number - 1}
    training = recipe.training.model_copy(update={"seed": recipe.training.seed + number - 1})
    # A job of the platform's Evaluator would add nothing to a comparison of systems.
    evaluation = recipe.evaluation.model_copy(update={"repeats": 1, "platform_rows": 0})
    curation = {**recipe.curation, "split": split}
    return recipe.model_copy(
        update={"curation": curation, "training": training, "evaluation": evaluation, "gates": ()}
    )


@dataclass(frozen=True, slots=True)
class _Repeated:
    """What came of a repeat.

    Args:
        rows: how many there are, by part.
        metrics: the verdict on its test rows.
        missing: how many answers of the model a later attempt may add.
    """

    rows: dict[str, int]
    metrics: Metrics
    missing: int


class _Repeat:
    """One repeat.

    Args:
        context: of the run.
        number: of the repeat.
    """

    def __init__(self, context: RunContext, number: int) -> None:
        options = context.recipe.evaluation
        self._context = context
        self._recipe = repeated(context.recipe, number)
        self._scope = options.repeated_systems
        self._folder = context.folder / FOLDER / str(number)
        self._label = f"repeat {number} of {options.repeats}"
        self._without = f"--set evaluation.repeats={number - 1}"

    async def run(self) -> _Repeated:
        context = self._context
        context.progress.update(0, None, self._label)
        try:
            # Baselines of a part without rows would fail with a message about something else.
            rows = (await self._execute(until=Curate.name)).left(CurateOutput).rows
            check_parts(rows)
            result = await self._execute()
        except LawtagsError:
            context.progress.note(f"{self._label} failed; to do without it, add {self._without}")
            raise
        metrics = read_metrics(self._folder)
        told = sorted(metrics.systems.items(), key=lambda item: -item[1].micro_f1)
        figures = ", ".join(f"{name} {found.micro_f1:.3f}" for name, found in told)
        context.progress.note(f"{self._label}: {figures}")
        missing = result.left(PredictOutput).missing if self._scope == "all" else 0
        return _Repeated(rows, metrics, missing)

    async def _execute(self, until: str | None = None) -> RunResult:
        context = self._context
        return await execute(
            folder=self._folder,
            recipe=self._recipe,
            data=context.data,
            test=context.test,
            platform=context.platform,
            progress=_LabeledProgress(context.progress, self._label),
            scheduler=context.scheduler,
            until=until,
            steps=_steps(self._scope),
        )


class _LabeledProgress:
    """Tells of the stages of a repeat as of steps of one stage.

    Args:
        progress: of the run.
        label: which repeat.
    """

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label

    def stage(self, name: str, number: int, total: int) -> None:
        self._progress.update(0, None, f"{self._label}, {name}")

    def skipped(self, name: str, number: int, total: int) -> None:
        """Say nothing: what is done already takes no time."""

    def update(self, done: float, total: float | None, text: str) -> None:
        self._progress.update(done, total, f"{self._label}, {text}")

    def training(self, state: TrainingState) -> None:
        self._progress.training(state)

    def note(self, text: str) -> None:
        self._progress.note(f"{self._label}: {text}")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show nothing: first results of a repeat are no news."""

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._progress.note(f"{self._label}: {name} done in {seconds:.1f} s")


class JudgeRepeat:
    """Writes the ``metrics.json`` of a repeat: the figures of its systems.

    Args:
        systems: those that are repeated.
    """

    name = "evaluate"
    version = 1
    leaves = EvaluateOutput

    def __init__(self, systems: RepeatedSystems) -> None:
        self._systems = systems

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "curation": context.left(CurateOutput).digest,
            "predictions": [output.files for output in context.outputs.values()],
            "systems": self._systems,
            "options": context.recipe.evaluation.model_dump(include={"bootstrap", "seed"}),
        }

    async def run(self, context: RunContext) -> EvaluateOutput:
        context.progress.update(0, None, "scores and intervals")
        scored = ScoredRows.read(context.folder, _SYSTEMS[self._systems])
        predicted = context.find(PredictOutput)
        validation = predicted.validation if predicted else None
        metrics = await asyncio.to_thread(scored.verdict, context.recipe.evaluation, validation=validation)
        path = context.folder / METRICS
        atomic_write_json(path, metrics.as_json())
        return EvaluateOutput(
            files=file_digests(context.folder, [path]),
            summary={name: round(found.micro_f1, 3) for name, found in metrics.systems.items()},
            incomplete=metrics.incomplete,
        )


def _steps(systems: RepeatedSystems) -> list[Stage]:
    baselines, judge = Baselines(shown=False), JudgeRepeat(systems)
    if systems == "local":
        return [Curate(), baselines, TuneEncoder(), FitBlend(), judge]
    return [Curate(), Plan(), baselines, Upload(), Customize(), TuneEncoder(), Serve(), Predict(), judge]


def _varied(recipe: Recipe, test: Path | None) -> Varied:
    if _split_options(recipe).by == "time":
        return "seeds"
    return "split" if test is None else "training split"


def _sampling(rows: Sequence[Mapping[str, int]], varied: Varied) -> SplitSampling:
    training, validation, testing = (
        sum(each.get(part, 0) for each in rows) for part in ("training", "validation", "testing")
    )
    # The share of the rows that are divided again, and that the systems are not fitted on.
    held = {
        "split": testing / (training + validation + testing),
        "training split": validation / (training + validation),
        "seeds": 0.0,
    }
    return SplitSampling(held[varied], same_test_rows=varied != "split", test_rows=testing // len(rows))


def _seed(recipe: Recipe, varied: Varied) -> int:
    return recipe.training.seed if varied == "seeds" else _split_options(recipe).seed


def _split_of(recipe: Recipe) -> JsonObject:
    split = recipe.curation.get("split")
    return split if isinstance(split, Mapping) else {}


def _split_options(recipe: Recipe) -> SplitOptions:
    from lawtags_client.curation import CurationOptions

    return CurationOptions.from_dict({"split": _split_of(recipe)}).split
