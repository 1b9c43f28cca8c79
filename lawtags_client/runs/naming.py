"""Which folder a run lives in: its name, the next one of that name, or the one made from these inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import count
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.identity import RunInputs, differences, holds_results, recorded_inputs
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.repeats import FOLDER as REPEATS

PLANS = "plans"
"""The folder beside the runs in which plans are made."""
SWEEPS = "sweeps"
"""The folder beside the runs that holds sweeps."""
TRIALS = "trials"
"""The folder of a sweep that holds its trials."""

_LEDGER = "ledger.sqlite"


def checked_name(name: str) -> str:
    """A name that can be the name of a run.

    Raises:
        ConfigurationError: it cannot.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}", name) or name in (PLANS, SWEEPS):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a run",
            hint=f"Use letters, digits, '-', '_' and '.', and not {PLANS!r} or {SWEEPS!r}. "
            "Use --runs for the folder that holds the runs.",
        )
    return name


def plan_folder(runs: Path, name: str) -> Path:
    """The folder of a plan, which is no run and touches none."""
    return runs / PLANS / checked_name(name)


def sweep_folder(runs: Path, name: str) -> Path:
    """The folder of a sweep, whose trials are runs of their own."""
    return runs / SWEEPS / checked_name(name)


def dated_name(recipe: str, day: date) -> str:
    """The name of a run that was given none.

    Args:
        recipe: the recipe's name.
        day: on which the run starts.
    """
    return f"{recipe}-{day.isoformat()}"


def resume_command(folder: Path) -> str:
    """The command that resumes a run, or the run of a repeat, with what it has recorded."""
    if (whole := run_of_repeat(folder)) is not None:
        return f"{resume_command(whole)} --set evaluation.repeats={folder.name}"
    words = ["lawtags", "runs", "redo", folder.name]
    if folder.parent != Path("runs"):
        words += ["--runs", str(folder.parent)]
    return shlex.join(words)


def run_of_repeat(folder: Path) -> Path | None:
    """The folder of the run that a repeat belongs to; None for a run of its own."""
    run = folder.parent.parent
    numbered = folder.parent.name == REPEATS and folder.name.isdecimal()
    return run if numbered and (run / _LEDGER).is_file() else None


def trials_of(sweep: Path) -> list[Path]:
    """The folders of the trials of a sweep, which are runs of their own."""
    return sorted(path.parent for path in (sweep / TRIALS).glob(f"*/{_LEDGER}"))


def runs_around(folder: Path) -> Path:
    """The folder of runs that a run, or a trial of one of its sweeps, is in."""
    above = folder.parent
    if above.name == TRIALS and above.parent.parent.name == SWEEPS:
        return above.parent.parent.parent
    return above


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
    if series and not has_ended(series[-1]) and _made_from(series[-1], inputs):
        return series[-1]
    return free_folder(runs, name)


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
    return unused[-1] if unused else free_folder(runs, name)


def unnamed_run(
    runs: Path, recipe: str, name: str, inputs: Callable[[Ledger], RunInputs], *, new: bool
) -> Path:
    """The folder of a run that was given no name: one made from the same inputs, or that of today's name.

    A command that is repeated after midnight must resume its run, so runs of other days are searched, too.

    Args:
        runs: the folder that holds the runs.
        recipe: the recipe's name.
        name: of today.
        inputs: the inputs of today, for the run of a ledger.
        new: whether a run that has come to its end is not what is wanted.
    """
    same = [each for each in _unnamed(runs, recipe) if _made_from(each, inputs)]
    if same and not (new and has_ended(same[-1])):
        return same[-1]
    return free_folder(runs, name) if new else runs / checked_name(name)


def matching_run(runs: Path, name: str, inputs: Callable[[Ledger], RunInputs]) -> Path | None:
    """The latest run of a name, or of its followers, that was made from these inputs, if there is one."""
    return next((each for each in reversed(list(_series(runs, name))) if _made_from(each, inputs)), None)


def free_folder(runs: Path, name: str) -> Path:
    """The first of NAME, NAME-2, NAME-3 that does not exist; a folder of something else keeps its place."""
    return next(folder for number in count(1) if not (folder := _numbered(runs, name, number)).exists())


def first_name(folder: Path) -> str:
    """The name of the first run in the series of a run: ``tiny`` for ``tiny-2``, if that is a run."""
    first = re.sub(r"-\d{1,9}$", "", folder.name)
    return first if (folder.parent / first / _LEDGER).is_file() else folder.name


def has_ended(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return Ledger(folder / _LEDGER).finished("report") is not None


def _unnamed(runs: Path, recipe: str) -> Iterable[Path]:
    """The runs of a recipe that were given no name, oldest first; older releases named them as the recipe."""
    pattern = re.compile(re.escape(recipe) + r"(?P<day>-\d{4}-\d{2}-\d{2})?(?:-(?P<number>\d{1,9}))?")
    found = [
        (match["day"] or "", int(match["number"] or 1), folder)
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if (match := pattern.fullmatch(folder.name)) and (folder / _LEDGER).is_file()
    ]
    return [folder for *_, folder in sorted(found)]


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


def _made_from(folder: Path, inputs: Callable[[Ledger], RunInputs]) -> bool:
    ledger = Ledger(folder / _LEDGER)
    known = recorded_inputs(ledger, folder)
    return known is not None and not differences(known, inputs(ledger))
