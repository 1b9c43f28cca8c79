"""A run: the stages in order, each done once for the same inputs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.files import atomic_write_text
from lawtags_client.platform import Platform
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.stage import RunContext, Stage, intact, stage_digest


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has come to.

    Attributes:
        folder: the run's folder.
        outputs: what each stage left, by stage name.
        redone: the stages that had something to do this time.
    """

    folder: Path
    outputs: dict[str, dict[str, Any]]
    redone: tuple[str, ...]


def stages() -> list[Stage]:
    """The stages of a run, in order."""
    from lawtags_client.runs.stages.curate import Curate
    from lawtags_client.runs.stages.customize import Customize
    from lawtags_client.runs.stages.evaluate import Evaluate
    from lawtags_client.runs.stages.plan import Plan
    from lawtags_client.runs.stages.predict import Predict
    from lawtags_client.runs.stages.report import Report
    from lawtags_client.runs.stages.serve import Serve
    from lawtags_client.runs.stages.upload import Upload

    return [Curate(), Plan(), Upload(), Customize(), Serve(), Predict(), Evaluate(), Report()]


async def execute(
    *,
    folder: Path,
    recipe: Recipe,
    data: Sequence[str],
    platform: Platform,
    progress: Progress,
    test: Path | None = None,
    scheduler: str | None = None,
    until: str | None = None,
    profile: str | None = None,
    steps: Sequence[Stage] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RunResult:
    """Carry a run to its end; called again after an interruption, it goes on where it was.

    Args:
        folder: the run's folder, made when absent.
        recipe: what to do.
        data: files or ``hf://`` names of labelled questions.
        platform: where training and inference happen.
        progress: whom to tell.
        test: labelled questions that are only scored.
        scheduler: address of a Dask scheduler for the curation.
        until: stop after the stage of this name.
        profile: the profile that the platform came from, for those who use the run later.
        steps: other stages than the usual ones.
        clock: seconds, for the durations told.

    Raises:
        BusyError: another process works on this run.
        LawtagsError: a stage failed; what was done before is kept.
    """
    chosen = list(steps) if steps is not None else stages()
    names = [stage.name for stage in chosen]
    if until is not None and until not in names:
        raise ConfigurationError(f"there is no stage {until!r}", hint=f"Stages: {', '.join(names)}")
    with run_lock(folder):
        ledger = Ledger(folder / "ledger.sqlite")
        if ledger.fact("run_id") is None:
            ledger.set_fact("run_id", secrets.token_hex(6))
        ledger.set_fact("recipe", recipe.record())
        ledger.set_fact("data", list(data))
        ledger.set_fact("test", str(test) if test else None)
        ledger.set_fact("profile", profile)
        atomic_write_text(folder / ".gitignore", "*\n")
        context = RunContext(folder, recipe, tuple(data), test, platform, ledger, progress, scheduler)
        redone = []
        for number, stage in enumerate(chosen, 1):
            if await _ensure(stage, context, number, len(chosen), clock):
                redone.append(stage.name)
            if stage.name == until:
                break
        return RunResult(folder, context.outputs, tuple(redone))


async def _ensure(
    stage: Stage, context: RunContext, number: int, total: int, clock: Callable[[], float]
) -> bool:
    digest = stage_digest(stage, context)
    known = context.ledger.stage(stage.name)
    if known and known.status == "done" and known.digest == digest and intact(context.folder, known.output):
        context.outputs[stage.name] = known.output
        context.progress.skipped(stage.name, number, total)
        return False
    context.progress.stage(stage.name, number, total)
    started = clock()
    context.ledger.begin(stage.name, digest)
    try:
        output = await stage.run(context)
    except LawtagsError as problem:
        context.ledger.fail(stage.name, problem.as_dict())
        raise
    except Exception as problem:
        context.ledger.fail(stage.name, {"error": type(problem).__name__, "message": str(problem)})
        raise
    context.ledger.finish(stage.name, output)
    context.outputs[stage.name] = output
    context.progress.finished(stage.name, clock() - started, output.get("summary", {}))
    return True
