"""Carrying out a sweep: its trials are runs of their own, so that a kill loses nothing and repeats no job."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lawtags_client.errors import ConfigurationError, JobError
from lawtags_client.files import atomic_write_json
from lawtags_client.json_value import JsonObject
from lawtags_client.platform import Platform
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.planned import take_over_curation
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.run import execute
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.stage import Stage
from lawtags_client.runs.stages.curate import Curate
from lawtags_client.runs.stages.customize import Customize
from lawtags_client.runs.stages.plan import Plan
from lawtags_client.runs.stages.upload import Upload
from lawtags_client.runs.sweeping.grid import SweepPoint, recipe_of
from lawtags_client.runs.sweeping.halving import kept, mean_losses, rungs

FILE = "sweep.json"
_LOSS = "val_loss"

OpenPlatform = Callable[[Path], AbstractAsyncContextManager[Platform]]
"""Opens the platform for the run of a folder, which keeps its intents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How a sweep is carried out.

    Args:
        concurrency: jobs at a time.
        budget: most optimizer steps of all jobs together; None for no limit.
        factor: of successive halving; None trains every combination to its end.
    """

    concurrency: int = 1
    budget: int | None = None
    factor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTrial:
    """A training of a sweep.

    Args:
        values: of the recipe, by dotted key.
        group: the combination, seeds aside.
        run: the name of its folder.
        rung: of successive halving, from 1.
        steps: of the optimizer.
        val_loss: the lowest; None if it has not ended, failed, or diverged.
        job: its id.
        model: that it made.
        problem: why there is no loss.
    """

    values: JsonObject
    group: str
    run: str
    rung: int
    steps: int
    val_loss: float | None = None
    job: str | None = None
    model: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What came of a sweep; content of ``sweep.json``.

    Args:
        schema_version: of the file.
        trials: the best first: those of the last rung, then by loss.
        steps: of all jobs together.
        left_out: trials that the budget did not allow.
    """

    schema_version: int = 1
    trials: tuple[SweepTrial, ...]
    steps: int
    left_out: int = 0

    def ranked(self) -> list[tuple[str, int, float | None, int]]:
        """Combination, rung, mean loss and number of seeds, the best first."""
        found: dict[tuple[str, int], list[float]] = {}
        for trial in self.trials:
            loss = math.inf if trial.val_loss is None else trial.val_loss
            found.setdefault((trial.group, trial.rung), []).append(loss)
        last = {group: max(rung for other, rung in found if other == group) for group, _ in found}
        rows = [
            (group, rung, sum(losses) / len(losses), len(losses))
            for (group, rung), losses in found.items()
            if rung == last[group]
        ]
        rows.sort(key=lambda row: (-row[1], row[2], row[0]))
        return [(group, rung, mean if math.isfinite(mean) else None, n) for group, rung, mean, n in rows]


@dataclass(slots=True)
class Sweep:
    """A sweep in a folder.

    Args:
        folder: of the sweep.
        recipe: what every trial begins with.
        data: labeled questions.
        test: labeled questions that are only scored.
        points: the combinations.
        options: how it is carried out.
        open_platform: for the run of a trial.
        progress: of each trial.
        profile: of the settings.
    """

    folder: Path
    recipe: Recipe
    data: Sequence[str]
    test: Path | None
    points: Sequence[SweepPoint]
    options: SweepOptions
    open_platform: OpenPlatform
    progress: Progress
    profile: str | None = None
    _spent: int = field(default=0, init=False)
    _left_out: int = field(default=0, init=False)

    async def run(self) -> SweepResult:
        """Carry it out; called again after an interruption, it resumes.

        Raises:
            ConfigurationError: a combination is no valid recipe.
            LawtagsError: a trial failed for another reason than its job.
        """
        for point in self.points:
            recipe_of(self.recipe, point)
        steps = await self._whole_steps()
        groups = list(dict.fromkeys(point.group for point in self.points))
        factor = self.options.factor
        ladder = [steps] if factor is None else rungs(steps, len(groups), factor)
        alive, trials = groups, list[SweepTrial]()
        for number, limit in enumerate(ladder, 1):
            points = [point for point in self.points if point.group in alive]
            most = limit if len(ladder) > 1 and number < len(ladder) else None
            done = await self._rung(points, number, most)
            trials += done
            self._write(trials)
            if not done:
                # The budget is spent: nothing is known by which to choose for the next rung.
                break
            if factor is not None and number < len(ladder):
                losses = {
                    SweepPoint(trial.values).digest: trial.val_loss
                    for trial in done
                    if trial.val_loss is not None
                }
                alive = kept(mean_losses(points, losses), factor)
        return self._write(trials)

    async def _whole_steps(self) -> int:
        """Steps of a whole training; this curates the rows that all trials share."""
        folder = self.folder / "curation"
        async with self.open_platform(folder) as platform:
            await self._execute(folder, self.recipe, platform, [Curate(), Plan()])
        return read_document(JobPlan, folder, "plan.json").steps

    async def _rung(self, points: Sequence[SweepPoint], rung: int, most: int | None) -> list[SweepTrial]:
        gate = asyncio.Semaphore(self.options.concurrency)
        planned: list[tuple[SweepPoint, Recipe, Path, int]] = []
        for point in points:
            recipe = recipe_of(self.recipe, point, max_steps=most)
            folder = self.folder / "trials" / f"{point.digest}-{rung}"
            # One after the other, as they take over the same rows.
            take_over_curation(self.folder / "curation", folder)
            async with self.open_platform(folder) as platform:
                await self._execute(folder, recipe, platform, [Curate(), Plan()])
            steps = read_document(JobPlan, folder, "plan.json").steps
            budget = self.options.budget
            if budget is not None and self._spent + steps > budget:
                self._left_out += 1
                continue
            self._spent += steps
            planned.append((point, recipe, folder, steps))

        async def one(point: SweepPoint, recipe: Recipe, folder: Path, steps: int) -> SweepTrial:
            async with gate:
                return await self._train(point, recipe, folder, rung, steps)

        return list(await asyncio.gather(*(one(*each) for each in planned)))

    async def _train(
        self, point: SweepPoint, recipe: Recipe, folder: Path, rung: int, steps: int
    ) -> SweepTrial:
        trial = SweepTrial(
            values=dict(point.values), group=point.group, run=folder.name, rung=rung, steps=steps
        )
        chain: list[Stage] = [Curate(), Plan(), Upload(), Customize(tune_encoder=False)]
        async with self.open_platform(folder) as platform:
            try:
                await self._execute(folder, recipe, platform, chain)
            except JobError as problem:
                # Another combination may do better; the next call tries this one again.
                self.progress.note(f"{point.label}: {problem.message}")
                return replace(trial, problem=problem.message)
        found = read_document(TrainingRecord, folder, "customization.json")
        losses = [each.value for each in found.metrics.get(_LOSS, ()) if each.value is not None]
        told = f"validation loss {min(losses):.4f}" if losses else "no validation loss"
        self.progress.note(f"{point.label}: {told} after {steps} steps")
        return replace(
            trial,
            val_loss=min(losses) if losses else None,
            job=found.job,
            model=found.output_model,
            problem=None if losses else "no validation loss was reported",
        )

    async def _execute(
        self, folder: Path, recipe: Recipe, platform: Platform, chain: Sequence[Stage]
    ) -> None:
        await execute(
            folder=folder,
            recipe=recipe,
            data=self.data,
            test=self.test,
            platform=platform,
            progress=self.progress,
            steps=chain,
            profile=self.profile,
        )

    def _write(self, trials: Sequence[SweepTrial]) -> SweepResult:
        ranked = sorted(
            trials, key=lambda each: (-each.rung, each.val_loss is None, each.val_loss or 0.0, each.run)
        )
        result = SweepResult(trials=tuple(ranked), steps=self._spent, left_out=self._left_out)
        atomic_write_json(self.folder / FILE, asdict(result))
        return result


def check_options(options: SweepOptions) -> None:
    """Refuse options that make no sense.

    Raises:
        ConfigurationError: names the option.
    """
    for name, value, least in (
        ("--concurrency", options.concurrency, 1),
        ("--budget", options.budget, 1),
        ("--halving", options.factor, 2),
    ):
        if value is not None and value < least:
            raise ConfigurationError(f"{name} must be at least {least}", hint=f"It is {value}.")
