"""Which folder a run lives in: its name, the next one of that name, or the one made from these inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import RunInputs, differences, holds_results, recorded_inputs
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.recipe import bundled
from lawtags_client.runs.repeats import FOLDER as REPEATS

PLANS = "plans"
"""The folder beside the runs in which plans are made."""

_LEDGER = "ledger.sqlite"


def checked_name(name: str) -> str:
    """A name that can be the name of a run.

    Raises:
        ConfigurationError: it cannot.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}", name) or name == PLANS:
        raise ConfigurationError(
            f"{name!r} cannot be the name of a run",
            hint=f"Use letters, digits, '-', '_' and '.', and not {PLANS!r}. "
            "Use --runs for the folder that holds the runs.",
        )
    return name


def plan_folder(runs: Path, name: str) -> Path:
    """The folder of a plan, which is no run and touches none."""
    return runs / PLANS / checked_name(name)


def resume_command(folder: Path) -> str:
    """The command that resumes a run, or the run of a repeat; replace ``RECIPE`` if it is not bundled."""
    if (whole := run_of_repeat(folder)) is not None:
        return f"{resume_command(whole)} --set evaluation.repeats={folder.name}"
    recipe = RunFacts.of_folder(folder).recipe_name
    words = ["lawtags", "run", recipe if recipe and recipe in bundled() else "RECIPE"]
    if folder.name != recipe:
        words += ["--name", folder.name]
    if folder.parent != Path("runs"):
        words += ["--runs", str(folder.parent)]
    return shlex.join(words)


def run_of_repeat(folder: Path) -> Path | None:
    """The folder of the run that a repeat belongs to; None for a run of its own."""
    run = folder.parent.parent
    numbered = folder.parent.name == REPEATS and folder.name.isdecimal()
    return run if numbered and (run / _LEDGER).is_file() else None


def next_run(runs: Path, name: str, inputs: Callable[[Ledger], RunInputs]) -> Path:
    """The folder of the next run of a name: ``NAME``, ``NAME-2``, ``NAME-3``.

    The latest one is taken up again where it has the same inputs and has not come to its end, so that a
    command that was interrupted can be given again.

    Args:
        runs: the folder that holds the runs.
        name: of the first of them.
        inputs: the inputs of today, for the run of a ledger.
    """
    series = list(_series(runs, name))
    if series and not _has_ended(series[-1]) and _made_from(series[-1], inputs):
        return series[-1]
    return _free(runs, name)


def fitting_run(runs: Path, name: str, inputs: Callable[[Ledger], RunInputs]) -> Path:
    """The folder of the run for these inputs: one made from them, one without results, or the next one.

    Args:
        runs: the folder that holds the runs.
        name: of the first of them.
        inputs: the inputs of today, for the run of a ledger.
    """
    found = matching_run(runs, name, inputs)
    if found is not None:
        return found
    unused = [each for each in _series(runs, name) if not holds_results(Ledger(each / _LEDGER))]
    return unused[-1] if unused else _free(runs, name)


def matching_run(runs: Path, name: str, inputs: Callable[[Ledger], RunInputs]) -> Path | None:
    """The latest run of a name, or of its followers, that was made from these inputs, if there is one."""
    return next((each for each in reversed(list(_series(runs, name))) if _made_from(each, inputs)), None)


def _free(runs: Path, name: str) -> Path:
    # A folder of something else keeps its place.
    return next(folder for number in count(1) if not (folder := _numbered(runs, name, number)).exists())


def _series(runs: Path, name: str) -> Iterator[Path]:
    checked_name(name)
    followers = [
        (int(found[1]), folder)
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if (found := re.fullmatch(re.escape(name) + r"-(\d{1,9})", folder.name)) and int(found[1]) > 1
    ]
    for folder in (runs / name, *(folder for _, folder in sorted(followers))):
        if (folder / _LEDGER).is_file():
            yield folder


def _numbered(runs: Path, name: str, number: int) -> Path:
    return runs / checked_name(name if number == 1 else f"{name}-{number}")


def _has_ended(folder: Path) -> bool:
    return Ledger(folder / _LEDGER).finished("report") is not None


def _made_from(folder: Path, inputs: Callable[[Ledger], RunInputs]) -> bool:
    ledger = Ledger(folder / _LEDGER)
    known = recorded_inputs(ledger, folder)
    return known is not None and not differences(known, inputs(ledger))
