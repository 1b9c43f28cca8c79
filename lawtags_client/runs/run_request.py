"""The run that a command asks for, and the folder that it runs in."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lawtags_client.errors import ConfigurationError, RunInputsError
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import RunInputs, inputs_of
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.naming import checked_name, fitting_run, matching_run, next_run, plan_folder
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
        data: sources as passed; None for those that the run has recorded.
        test: labeled questions to use as the test set.
        name: of the run.
        runs: the folder of runs.
        scheduler: address of a Dask scheduler, or None for this machine.
        services: the address of each service; None for a plan, which uses none of them for good.
    """

    recipe: Recipe
    data: Sequence[str] | None
    test: Path | None
    name: str
    runs: Path
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
    ) -> RunRequest:
        """Check the options of a command.

        Raises:
            ConfigurationError: the name or a path cannot be used.
        """
        sources = [_absolute(source) for source in data] if data else None
        test_file = test and Path(_absolute(str(test)))
        return cls(recipe, sources, test_file, checked_name(name or recipe.name), runs, scheduler)

    @property
    def plan(self) -> Path:
        """The folder of the plan of this name."""
        return plan_folder(self.runs, self.name)

    @property
    def folder(self) -> Path:
        """The folder of the run of this name."""
        return self.runs / self.name

    def with_recorded_data(self, folder: Path) -> RunRequest:
        """The request with the data that a folder has recorded, if none was passed.

        Args:
            folder: of a run or a plan.

        Raises:
            ConfigurationError: no data was passed, and none is recorded.
        """
        if self.data is not None:
            return self
        recorded = RunFacts.of_folder(folder)
        if not recorded.data:
            raise ConfigurationError(
                f"no questions were passed, and no run {folder.name!r} has recorded any",
                hint="Pass them with --data FILE.",
            )
        return replace(
            self, data=recorded.data, test=self.test or (Path(recorded.test) if recorded.test else None)
        )

    def chosen_folder(self, on_name_taken: OnNameTaken) -> Path:
        """The folder of the run: that of its name, or of one of its successors."""
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
        return inputs_of(self.recipe, self.data or (), self.test, self.services, run_id=run_id)

    def with_matching_run(self, problem: RunInputsError) -> RunInputsError:
        """A refusal of this request that names the run that does have these inputs, if there is one."""
        found = matching_run(self.runs, self.name, self.inputs)
        if found is None:
            return problem
        hint = f"{found.name} has these inputs: resume it with --name {found.name}, or add --new."
        return RunInputsError(problem.message, hint=hint, differences=problem.differences)


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
