"""A run: the stages in order, each done once for the same inputs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from lawtags_client.encoder.choice import choose_encoder
from lawtags_client.errors import (
    ConfigurationError,
    LawtagsError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from lawtags_client.files import atomic_write_text
from lawtags_client.platform import Platform
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import check_inputs, inputs_of
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.outputs import StageOutput
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.spans import run_span
from lawtags_client.runs.stage import OutputT, RunContext, Stage, code_version, intact, left, stage_digest
from lawtags_client.runs.tracking import Tracker

# Stages that a finished run may be asked for in addition: their options are no inputs of the run.
_ON_REQUEST = frozenset({"repeats"})
# How a call ends while a platform restarts.
_MAY_PASS = (TransportError, RateLimitedError, ServerError)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        folder: the run's folder.
        outputs: what each stage left, by stage name.
        redone: the stages that had something to do this time.
    """

    folder: Path
    outputs: dict[str, StageOutput]
    redone: tuple[str, ...]

    def left(self, kind: type[OutputT]) -> OutputT:
        """What the stage that leaves this kind of output has left."""
        return left(self.outputs, kind)


async def execute(
    *,
    folder: Path,
    recipe: Recipe,
    data: Sequence[str],
    platform: Platform,
    progress: Progress,
    steps: Sequence[Stage],
    test: Path | None = None,
    scheduler: str | None = None,
    until: str | None = None,
    profile: str | None = None,
    services: Mapping[str, str] | None = None,
    tracker: Callable[[str], AbstractAsyncContextManager[Tracker | None]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RunResult:
    """Carry out a run to its end; called again after an interruption, it resumes.

    A run that has results keeps them: it refuses other inputs, and if only the code of a stage has changed
    since, nothing is repeated.

    Args:
        folder: the run's folder; created if it does not exist.
        recipe: what to do.
        data: files or ``hf://`` names of labeled questions.
        platform: where training and inference happen.
        progress: receives what happens.
        steps: the stages, in order.
        test: labeled questions that are only scored.
        scheduler: address of a Dask scheduler for the curation.
        until: stop after the stage of this name.
        profile: the profile that the platform came from, for later users of the run.
        services: address of each service, which is an input, too; None if that does not matter.
        tracker: opens the server that keeps track of the run, given the run's identity.
        clock: seconds, for the reported durations.

    Raises:
        BusyError: another process works on this run.
        RunInputsError: the run was made from other inputs and has results.
        LawtagsError: a stage failed; what was done before is kept.
    """
    _check_stage(until, steps)
    with run_lock(folder):
        ledger = Ledger(folder / "ledger.sqlite")
        context = RunContext(folder, recipe, tuple(data), test, platform, ledger, progress, scheduler)
        await _record(context, [stage.name for stage in steps], profile, services)
        runner = _StageRunner(steps, context, clock)
        names = {"run": folder.name, "recipe": recipe.name, "id": context.run_id()}
        opening = contextlib.nullcontext() if tracker is None else tracker(context.run_id())
        with run_span("lawtags run", names):
            async with opening as context.tracker:
                try:
                    await runner.run(until)
                except Exception:
                    await context.tracking.failed()
                    raise
                if until is None and runner.redone:
                    await context.tracking.finished(folder)
        return RunResult(folder, context.outputs, tuple(runner.redone))


async def _record(
    context: RunContext, stages: Sequence[str], profile: str | None, services: Mapping[str, str] | None
) -> None:
    """Record what the run is made from, unless it has results from other inputs."""
    recipe, data, test, ledger = context.recipe, context.data, context.test, context.ledger
    # An encoder that cannot be used is an error now, not after the training.
    await asyncio.to_thread(choose_encoder, recipe.retriever.encoder)
    known = RunFacts.read(ledger)
    if known.undone and not all(ledger.finished(name) for name in stages):
        raise ConfigurationError(
            f"run {context.folder.name!r} was undone: what it had made on its platform is gone",
            hint="Add --new to start the next run, or --name to choose another name.",
        )
    run_id = known.run_id or secrets.token_hex(6)
    inputs = await asyncio.to_thread(inputs_of, recipe, data, test, services, run_id=run_id)
    changed = check_inputs(ledger, context.folder, inputs, stages)
    if changed:
        told = "; ".join(changed)
        context.progress.note(f"inputs changed; repeating the stages that depend on them: {told}")
    facts = RunFacts(
        run_id=run_id,
        recipe=recipe.record(),
        data=data,
        test=str(test) if test else None,
        profile=profile,
        inputs=inputs.as_json(),
    )
    facts.write(ledger)
    atomic_write_text(context.folder / ".gitignore", "*\n")


def _check_stage(until: str | None, chosen: Sequence[Stage]) -> None:
    names = [stage.name for stage in chosen]
    if until is not None and until not in names:
        raise ConfigurationError(f"there is no stage {until!r}", hint=f"Stages: {', '.join(names)}")


class _StageRunner:
    """The stages of one run as one command goes through them."""

    def __init__(self, chosen: Sequence[Stage], context: RunContext, clock: Callable[[], float]) -> None:
        self._chosen = chosen
        self._context = context
        self._clock = clock
        begun = {record.name for record in context.ledger.stages()}
        done = {stage.name for stage in chosen if context.ledger.finished(stage.name)}
        # What is requested in addition may be new in a finished run, too.
        own = {stage.name for stage in chosen} - _ON_REQUEST
        # Stages run in order: what never began in a run with a last stage is new in this release.
        ended = bool(chosen) and chosen[-1].name in done
        self._unknown = own - begun - done if ended else set()
        self._finished = own <= done | self._unknown
        self._taken_over = done if RunFacts.read(context.ledger).taken_over else set()
        self.redone: list[str] = []
        self._by_other_code: list[str] = []

    async def run(self, until: str | None) -> None:
        """Run the stages, up to and including one."""
        context, total = self._context, len(self._chosen)
        for number, stage in enumerate(self._chosen, 1):
            if self._not_needed(stage, number):
                continue
            # In a thread, since it may have to hash an encoder.
            digest = await asyncio.to_thread(stage_digest, stage, context)
            known = self._usable(stage, digest)
            if known is None:
                await self._do(stage, digest, number, total)
            else:
                context.outputs[stage.name] = known
                context.progress.skipped(stage.name, number, total)
            if stage.name == until:
                break
        if self._by_other_code:
            named = ", ".join(self._by_other_code)
            context.progress.note(
                f"{named} ran with another version of lawtags; this run is left unchanged. "
                "Add --new to start one with this version."
            )

    def _not_needed(self, stage: Stage, number: int) -> bool:
        """Whether a run of an older release, which had no such stage, is complete without it."""
        if stage.name not in self._unknown or not self._finished or self.redone:
            return False
        others = self._unknown | _ON_REQUEST
        later = [each for each in self._chosen[number:] if each.name not in others]
        return all(self._kept(each) is not None for each in later)

    def _kept(self, stage: Stage) -> StageOutput | None:
        known = self._context.ledger.finished(stage.name)
        if known is None or known.output.get("missing"):
            return None
        output = stage.leaves.from_json(known.output)
        return output if intact(self._context.folder, output) else None

    def _usable(self, stage: Stage, digest: str) -> StageOutput | None:
        """The output of a stage that need not be repeated."""
        known, output = self._context.ledger.finished(stage.name), self._kept(stage)
        if known is None or output is None:
            return None
        if known.digest == digest:
            return output
        # Nothing before it has changed, and its inputs are those of the run: it is the code that has.
        settled = self._finished or stage.name in self._taken_over
        by_run = settled and not self.redone and stage.name not in _ON_REQUEST
        if by_run and known.code != code_version(stage):
            self._by_other_code.append(stage.name)
            return output
        return None

    async def _do(self, stage: Stage, digest: str, number: int, total: int) -> None:
        context = self._context
        context.progress.stage(stage.name, number, total)
        started, cpu = self._clock(), time.process_time()
        context.ledger.begin(stage.name, digest)
        try:
            with run_span(f"lawtags {stage.name}", {"stage": stage.name, "number": number}):
                output = await stage.run(context)
        except LawtagsError as problem:
            if isinstance(problem, _MAY_PASS):
                _say_how_to_resume(problem)
            context.ledger.fail(stage.name, problem.as_dict())
            raise
        except Exception as problem:
            context.ledger.fail(stage.name, {"error": type(problem).__name__, "message": str(problem)})
            raise
        output = replace(
            output, summary={**output.summary, "CPU seconds": round(time.process_time() - cpu, 1)}
        )
        context.ledger.finish(stage.name, output.as_json(), code=code_version(stage))
        context.outputs[stage.name] = output
        self.redone.append(stage.name)
        context.progress.finished(stage.name, self._clock() - started, output.summary)


def _say_how_to_resume(problem: LawtagsError) -> None:
    """Add to the hint of an error that may pass, such as that of a platform that restarts."""
    if "epeat the command" not in (problem.hint or ""):
        resume = "Then repeat the command: it resumes here, and submits no job twice."
        problem.hint = f"{problem.hint} {resume}" if problem.hint else resume
