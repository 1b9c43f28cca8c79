"""Doing a part of a run once more: a new run takes over the stages before it, and the old one stays."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.json_value import JsonObject
from lawtags_client.runs.documents import validated
from lawtags_client.runs.facts import RunFacts, TakenOver
from lawtags_client.runs.ledger import Ledger, StageRecord
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.naming import first_name, free_folder, has_ended, resume_command, run_of_repeat
from lawtags_client.runs.outputs import StageOutput
from lawtags_client.runs.pipeline import stages
from lawtags_client.runs.recipe import Recipe, merged, parse_recipe

_LEDGER = "ledger.sqlite"
_CURATED = "curated"


def recorded_recipe(folder: Path, overrides: JsonObject | None = None) -> Recipe:
    """The recipe that a run has recorded.

    Args:
        folder: of the run.
        overrides: values that replace recorded ones; a secret is not recorded and must be among them.

    Raises:
        ConfigurationError: none is recorded, or it is not valid with the overrides.
    """
    recorded = RunFacts.of_folder(folder).recipe
    if recorded is None:
        raise ConfigurationError(
            f"run {folder.name!r} has recorded no recipe",
            hint=f"Start it with: lawtags run RECIPE --data FILE --name {folder.name}",
        )
    where = f"recipe of {folder.name}"
    return parse_recipe(merged(recorded, overrides or {}), where=where, overrides=overrides)


def take_over(folder: Path, stage: str, recipe: Recipe) -> Path:
    """A run that continues another one from a stage: made now, or by an interrupted call of the same kind.

    Args:
        folder: of the run that stays as it is.
        stage: the first stage that is done again.
        recipe: of the new run.

    Returns:
        The folder of the new run, in which all stages before ``stage`` are done.

    Raises:
        ConfigurationError: there is no such stage, or the run has not come that far.
        DataError: a file of the run is missing or damaged.
        BusyError: another process works on the run.
    """
    if run_of_repeat(folder) is not None:
        raise ConfigurationError(
            f"{folder} is a repeat of another run", hint="Name the run itself, and redo that one."
        )
    before = _stages_before(stage, recipe)
    with run_lock(folder):
        ledger = Ledger(folder / _LEDGER)
        facts = RunFacts.read(ledger)
        run_id = facts.run_id
        if facts.undone and "upload" in before:
            raise ConfigurationError(
                f"run {folder.name!r} was undone: what only it needed on its platform is gone",
                hint=f"Upload the rows again: lawtags runs redo {folder.name} --from upload",
            )
        mark = TakenOver(run=folder.name, run_id=run_id, stage=stage)
        if (begun := _interrupted(folder, mark)) is not None:
            return begun
        done = [record for name in before if (record := ledger.finished(name)) is not None]
        if missing := [name for name in before if name not in {record.name for record in done}]:
            raise ConfigurationError(
                f"run {folder.name!r} cannot be redone from {stage}: {', '.join(missing)} never finished",
                hint=f"Resume it first: {resume_command(folder)}",
            )
        return _copied(folder, done, mark, {each.name: ledger.attempts(each) for each in done})


def _stages_before(stage: str, recipe: Recipe) -> list[str]:
    # Repeats belong to the verdict of one run, and are never taken over.
    names = [each.name for each in stages(recipe)]
    if stage not in names or stage == "repeats":
        offered = ", ".join(name for name in names if name != "repeats")
        raise ConfigurationError(f"there is no stage {stage!r} to start from", hint=f"Stages: {offered}.")
    return [name for name in names[: names.index(stage)] if name != "repeats"]


def _interrupted(folder: Path, mark: TakenOver) -> Path | None:
    """A run that was begun for the same purpose and has not come to its end."""
    for each in sorted(folder.parent.iterdir()):
        if (each / _LEDGER).is_file() and each != folder:
            try:
                if RunFacts.of_folder(each).taken_over == mark and not has_ended(each):
                    return each
            except LawtagsError:
                continue
    return None


def _copied(folder: Path, done: list[StageRecord], mark: TakenOver, attempts: Mapping[str, int]) -> Path:
    target = free_folder(folder.parent, first_name(folder))
    # A folder with a ledger is a run, so it gets its name once it is complete.
    copy = folder.parent / f".{target.name}.taking-over"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    if done and (folder / _CURATED).is_dir():
        shutil.copytree(folder / _CURATED, copy / _CURATED)
    ledger = Ledger(copy / _LEDGER)
    for record in done:
        kept = validated(
            StageOutput, record.output, what=f"the output of {record.name}", hint="Start a run with --new."
        )
        for name in kept.files:
            _copy(folder, copy, name)
        ledger.take_over(record, attempts[record.name])
    ledger.set_fact("taken_over", mark.as_json())
    copy.rename(target)
    return target


def _copy(folder: Path, copy: Path, name: str) -> None:
    source, target = folder / name, copy / name
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        hint = f"Rebuild it first: {resume_command(folder)}"
        raise DataError("the run has lost this file", path=source, hint=hint) from None
