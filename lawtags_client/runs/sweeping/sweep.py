"""Carrying out a sweep: its trials are runs of their own, so that a kill loses nothing and repeats no job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lawtags_client.encoder.choice import choose_encoder
from lawtags_client.errors import ConfigurationError, DataError, JobError, RunInputsError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import Platform
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.hyperparameters import job_layout
from lawtags_client.runs.naming import TRIALS
from lawtags_client.runs.outputs import CurateOutput, CustomizeOutput, PlanOutput
from lawtags_client.runs.planned import take_over_curation
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.stage import Stage
from lawtags_client.runs.stages.curate import Curate
from lawtags_client.runs.stages.customize import Customize
from lawtags_client.runs.stages.encoder import TuneEncoder
from lawtags_client.runs.stages.plan import Plan, check_parts
from lawtags_client.runs.stages.serve import Serve
from lawtags_client.runs.stages.upload import Upload
from lawtags_client.runs.sweeping.grid import SweepPoint, recipe_of
from lawtags_client.runs.sweeping.halving import kept, mean_costs, rungs
from lawtags_client.runs.sweeping.reach import Measure, Trained, measured_by, trained_by
from lawtags_client.runs.sweeping.result import SweepResult, SweepTrial
from lawtags_client.runs.sweeping.scoring import ScoreModel, ScoreTagger, ValidationScoreOutput
from lawtags_client.runs.sweeping.sweep_progress import CuratingProgress, PlanningProgress, trial_progress
from lawtags_client.runs.sweeping.yardstick import Yardstick

FILE = "sweep.json"
_LOSS = "val_loss"
# What a rung of successive halving sets itself.
_LENGTHS = ("training.max_steps", "training.epochs", "training.token_budget")
# A job of v1 has no field for these: the config decides.
_OF_CONFIG = ("training.micro_batch_size", "training.precision", "training.max_seq_length")

OpenPlatform = Callable[[Path], AbstractAsyncContextManager[Platform]]
"""Opens the platform for the run of a folder, which keeps its intents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How a sweep is carried out.

    Args:
        concurrency: trials at a time.
        budget: most optimizer steps of all jobs together; None for no limit.
        factor: of successive halving; None trains every combination to its end.
    """

    concurrency: int = 1
    budget: int | None = None
    factor: int | None = None


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
    _shortest: int = field(default=0, init=False)
    """Steps of the shortest training that the budget did not allow."""
    _remarks: set[str] = field(default_factory=set, init=False)

    async def run(self) -> SweepResult:
        """Carry it out; called again after an interruption, it resumes.

        Raises:
            ConfigurationError: a combination is no valid recipe, or combinations cannot be compared.
            RunInputsError: a sweep of this name was made from other inputs.
            LawtagsError: a trial failed for another reason than its job.
        """
        keys = list(self.points[0].values)
        check_options(self.options, keys)
        recipes = [recipe_of(self.recipe, point) for point in self.points]
        for encoder in dict.fromkeys(recipe.retriever.encoder for recipe in recipes):
            # One that cannot be used is an error now, not after the trials before it.
            await asyncio.to_thread(choose_encoder, encoder)
        try:
            return await self._run(measured_by(keys), trained_by(keys), recipes[0])
        except RunInputsError as problem:
            raise RunInputsError(
                f"sweep {self.folder.name!r}: {problem.message}",
                hint="Choose another name for the sweep with --name.",
                differences=problem.differences,
            ) from None

    async def _run(self, measure: Measure, trained: Trained, first: Recipe) -> SweepResult:
        steps = await self._curate(measure, trained, first)
        groups = list(dict.fromkeys(point.group for point in self.points))
        factor = self.options.factor
        ladder = [steps] if factor is None else rungs(steps, len(groups), factor)
        alive, trials = groups, list[SweepTrial]()
        for number, limit in enumerate(ladder, 1):
            points = [point for point in self.points if point.group in alive]
            most = limit if len(ladder) > 1 and number < len(ladder) else None
            if len(ladder) > 1:
                self.progress.note(
                    f"rung {number} of {len(ladder)}, trainings: {len(points)}, steps: {limit:,}"
                )
            done = await self._rung(points, number, most)
            if not done and number == 1:
                raise ConfigurationError(
                    f"--budget {self.options.budget} is less than one training needs",
                    hint=f"The shortest one has {self._shortest:,} steps: allow that many for each training.",
                )
            trials += done
            self._write(trials, measure)
            if not done:
                # The budget is spent: nothing is known by which to choose for the next rung.
                break
            if factor is not None and number < len(ladder):
                costs = {SweepPoint(trial.values).digest: trial.cost(measure) for trial in done}
                alive = kept(mean_costs(points, costs), factor)
        return self._write(trials, measure)

    async def _curate(self, measure: Measure, trained: Trained, first: Recipe) -> int:
        """Curate the rows that trials share, check that they are comparable, and count the steps of a job."""
        await self._check_fields(first)
        yardstick, steps = Yardstick(), 0
        for point in {point.curation.digest: point.curation for point in self.points}.values():
            folder = self._curation_of(point)
            whole = self.recipe if measure == "val_loss" else recipe_of(first, point)
            chain: list[Stage] = [Curate(), Plan()] if trained == "job" else [Curate()]
            done = await self._execute(folder, whole, chain, CuratingProgress(self.progress, self._remarks))
            check_parts(done.left(CurateOutput).rows)
            if trained == "job":
                steps = steps or done.left(PlanOutput).plan.steps
            await asyncio.to_thread(yardstick.check, point.label, folder)
        return steps

    async def _check_fields(self, recipe: Recipe) -> None:
        if found := [key for key in _OF_CONFIG if key in self.points[0].values]:
            async with self.open_platform(self.folder / "curation") as platform:
                config = await platform.config(recipe.model.config)
            if config.dialect != "helix":
                raise ConfigurationError(
                    f"{found[0]} cannot be swept on this platform: its jobs have no field for it, and the "
                    "config decides",
                    hint="Sweep over model.config, with a config for each value.",
                )

    def _curation_of(self, point: SweepPoint) -> Path:
        """The folder in which the rows of a combination are curated, once for all trials."""
        digest = point.curation.digest
        return self.folder / ("curation" if not point.curation.values else f"curation-{digest}")

    async def _rung(self, points: Sequence[SweepPoint], rung: int, most: int | None) -> list[SweepTrial]:
        gate = asyncio.Semaphore(self.options.concurrency)
        planned: list[tuple[SweepPoint, Recipe, Path, int]] = []
        requests: dict[str, SweepPoint] = {}
        trained = trained_by(list(points[0].values))
        planning = PlanningProgress(self.progress, self._remarks)
        for point in points:
            recipe = recipe_of(self.recipe, point, max_steps=most)
            folder = self.folder / TRIALS / f"{point.digest}-{rung}"
            # One after the other, as they take over the same rows.
            take_over_curation(self._curation_of(point), folder)
            if trained == "tagger":
                planned.append((point, recipe, folder, 0))
                continue
            done = await self._execute(folder, recipe, [Curate(), Plan()], planning)
            _check_different(requests, point, recipe, done)
            steps = done.left(PlanOutput).plan.steps
            budget = self.options.budget
            if budget is not None and self._spent + steps > budget:
                self._left_out += 1
                self._shortest = min(self._shortest or steps, steps)
                continue
            self._spent += steps
            planned.append((point, recipe, folder, steps))

        async def one(point: SweepPoint, recipe: Recipe, folder: Path, steps: int) -> SweepTrial:
            trial = SweepTrial(
                values=dict(point.values), group=point.group, run=folder.name, rung=rung, steps=steps
            )
            async with gate:
                return await (self._train if trained == "job" else self._fit)(trial, point, recipe, folder)

        return list(await asyncio.gather(*(one(*each) for each in planned)))

    async def _train(self, trial: SweepTrial, point: SweepPoint, recipe: Recipe, folder: Path) -> SweepTrial:
        """Have the platform train a model."""
        chain: list[Stage] = [Curate(), Plan(), Upload(), Customize(tune_encoder=False)]
        scored = measured_by(list(point.values)) == "val_f1"
        try:
            whole = [*chain, Serve(), ScoreModel()] if scored else chain
            done = await self._execute(folder, recipe, whole, trial_progress(self.progress, point.label))
        except JobError as problem:
            # Another combination may do better; the next call tries this one again.
            self.progress.note(f"{point.label}: {problem.message}")
            return replace(trial, problem=problem.message)
        found = read_document(TrainingRecord, folder, "customization.json")
        losses = [each.value for each in found.metrics.get(_LOSS, ()) if each.value is not None]
        trial = replace(
            trial,
            val_loss=min(losses, default=None),
            job=done.left(CustomizeOutput).job,
            model=found.output_model,
        )
        if scored:
            return self._scored(trial, point, done)
        told = f"validation loss {min(losses):.4f}" if losses else "no validation loss"
        self.progress.note(f"{point.label}: {told} after {trial.steps} steps")
        return trial if losses else replace(trial, problem="no validation loss was reported")

    async def _fit(self, trial: SweepTrial, point: SweepPoint, recipe: Recipe, folder: Path) -> SweepTrial:
        """Fit retriever and encoder on this machine."""
        try:
            chain: list[Stage] = [Curate(), TuneEncoder(refit=False), ScoreTagger()]
            done = await self._execute(folder, recipe, chain, trial_progress(self.progress, point.label))
        except RunInputsError:
            raise
        except (ConfigurationError, DataError) as problem:
            # Such as more folds than rows: that is this combination's own fault.
            self.progress.note(f"{point.label}: {problem.message}")
            return replace(trial, problem=problem.message)
        return self._scored(trial, point, done)

    def _scored(self, trial: SweepTrial, point: SweepPoint, done: RunResult) -> SweepTrial:
        found = done.left(ValidationScoreOutput)
        if found.missing:
            problem = f"{found.missing} validation rows have no answer yet; repeat the command"
            self.progress.note(f"{point.label}: {problem}")
            return replace(trial, problem=problem)
        self.progress.note(f"{point.label}: validation micro F1 {found.micro_f1:.3f}")
        return replace(trial, val_f1=found.micro_f1)

    async def _execute(
        self, folder: Path, recipe: Recipe, chain: Sequence[Stage], progress: Progress
    ) -> RunResult:
        async with self.open_platform(folder) as platform:
            return await execute(
                folder=folder,
                recipe=recipe,
                data=self.data,
                test=self.test,
                platform=platform,
                progress=progress,
                steps=chain,
                profile=self.profile,
            )

    def _write(self, trials: Sequence[SweepTrial], measure: Measure) -> SweepResult:
        result = SweepResult.of(trials, measure=measure, steps=self._spent, left_out=self._left_out)
        atomic_write_json(self.folder / FILE, asdict(result))
        return result


def _check_different(
    requests: dict[str, SweepPoint], point: SweepPoint, recipe: Recipe, done: RunResult
) -> None:
    """Refuse two combinations for which the platform would be asked to do the same."""
    plan, rows = done.left(PlanOutput).plan, done.left(CurateOutput).digest
    asked = json.dumps([plan.config, rows, dict(plan.hyperparameters), job_layout(recipe.training)])
    other = requests.setdefault(asked, point)
    if other is not point:
        raise ConfigurationError(
            f"{other.label} and {point.label} are the same job of {plan.steps} steps",
            hint="Leave out the values that change nothing, or what overrules them.",
        )


def check_options(options: SweepOptions, keys: Sequence[str] = ()) -> None:
    """Refuse options that make no sense.

    Args:
        options: of the sweep.
        keys: that are swept.

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
        if value is not None and name != "--concurrency" and keys and trained_by(keys) == "tagger":
            raise ConfigurationError(
                f"{name} counts the steps of jobs, and a sweep over {keys[0]} submits none",
                hint="Leave it out: retriever and encoder are fitted on this machine.",
            )
    if options.factor is not None and (found := [key for key in keys if key in _LENGTHS]):
        raise ConfigurationError(
            f"{found[0]} cannot be swept with --halving, which sets the steps of each rung itself",
            hint="Leave out --halving, or this key.",
        )
