"""The run that a command asks for, and the folder that it runs in."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from lawtags_client.errors import ConfigurationError, RunInputsError
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import RunInputs, inputs_of
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.naming import (
    checked_name,
    dated_name,
    fitting_run,
    matching_run,
    next_run,
    plan_folder,
    resume_command,
    unnamed_run,
)
from lawtags_client.runs.recipe import Recipe

_LEDGER = "ledger.sqlite"


class OnNameTaken(enum.Enum):
    """What to do if a run of this name has different inputs."""

    REFUSE = enum.auto()
    START_NEXT = enum.auto()
    USE_MATCHING = enum.auto()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The run that a command asks for.

    Attributes:
        recipe: with the values of ``--set``.
        data: files, patterns or ``hf://`` names of labeled questions.
        test: labeled questions to use as the test set.
        name: of the run.
        runs: the folder of runs.
        named: whether the name was passed; otherwise it is made of recipe and date.
        scheduler: address of a Dask scheduler, or None for this machine.
        services: the address of each service; None for a plan, which uses none of them for good.
    """

    recipe: Recipe
    data: Sequence[str]
    test: Path | None
    name: str
    runs: Path
    named: bool = True
    scheduler: str | None = None
    services: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        *,
        data: Sequence[str] | None,
        test: Path | None,
        name: str | None,
        runs: Path,
        scheduler: str | None = None,
        today: date | None = None,
    ) -> RunRequest:
        """Check the options of a command.

        Args:
            recipe: with the values of ``--set``.
            data: sources as passed.
            test: labeled questions to use as the test set.
            name: of the run; None: recipe and date.
            runs: the folder of runs.
            scheduler: address of a Dask scheduler, or None for this machine.
            today: the date in the name of a run that is given none; that of the clock by default.

        Raises:
            ConfigurationError: there is no data, or the name or a path cannot be used.
        """
        chosen = checked_name(name or dated_name(recipe.name, today or datetime.now().astimezone().date()))
        if not data:
            raise _without_data(runs, name or recipe.name)
        sources = [_absolute(source) for source in data]
        test_file = test and Path(_absolute(str(test)))
        return cls(recipe, sources, test_file, chosen, runs, name is not None, scheduler)

    @property
    def plan(self) -> Path:
        """The folder of the plan of this name, or of this recipe."""
        return plan_folder(self.runs, self.name if self.named else self.recipe.name)

    @property
    def folder(self) -> Path:
        """The folder of the run of this name."""
        return self.runs / self.name

    def chosen_folder(self, on_name_taken: OnNameTaken) -> Path:
        """The folder of the run: that of its name, or of one of its successors."""
        if not self.named:
            new = on_name_taken is OnNameTaken.START_NEXT
            return unnamed_run(self.runs, self.recipe.name, self.name, self.inputs, new=new)
        if on_name_taken is OnNameTaken.REFUSE or not (self.folder / _LEDGER).is_file():
            return self.folder
        choose = next_run if on_name_taken is OnNameTaken.START_NEXT else fitting_run
        return choose(self.runs, self.name, self.inputs)

    def inputs(self, ledger: Ledger) -> RunInputs:
        """The inputs of this request, for comparison with those of a run.

        Args:
            ledger: of that run.
        """
        run_id = str(RunFacts.read(ledger).run_id)
        return inputs_of(self.recipe, self.data, self.test, self.services, run_id=run_id)

    def with_matching_run(self, problem: RunInputsError) -> RunInputsError:
        """A refusal of this request that names the run that does have these inputs, if there is one."""
        found = matching_run(self.runs, self.name, self.inputs)
        if found is None:
            return problem
        hint = f"{found.name} has these inputs: resume it with --name {found.name}, or add --new."
        return RunInputsError(problem.message, hint=hint, differences=problem.differences)


def _without_data(runs: Path, name: str) -> ConfigurationError:
    hint = "Pass them with --data FILE."
    if RunFacts.of_folder(folder := runs / name).data:
        hint += f" To resume {name} with the data that it has recorded: {resume_command(folder)}"
    return ConfigurationError("no questions were passed", hint=hint)


def _absolute(source: str) -> str:
    if source.startswith("hf://"):
        return source
    path = str(Path(source).absolute())
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{path}: a run records the path of its questions, and this path is not UTF-8",
            hint="Rename the file.",
        ) from None
    return path
