"""What a stage is, and what stages share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from lawtags_client.files import sha256_file
from lawtags_client.platform import Platform
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import StageOutput
from lawtags_client.runs.progress import Progress
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.tracking import RunTracking, Tracker
from lawtags_client.version import __version__

OutputT = TypeVar("OutputT", bound=StageOutput)


@dataclass
class RunContext:
    """All that a stage may know.

    Attributes:
        folder: the run's folder.
        recipe: what to do.
        data: files or ``hf://`` names of labeled questions.
        test: a file that is only scored, or None.
        platform: where training and inference happen.
        ledger: the run's memory.
        progress: whom to tell.
        scheduler: address of a Dask scheduler, or None for this machine.
        tracker: the server that keeps track of the run, or None.
        outputs: what the stages before this one left for it, by stage name.
    """

    folder: Path
    recipe: Recipe
    data: tuple[str, ...]
    test: Path | None
    platform: Platform
    ledger: Ledger
    progress: Progress
    scheduler: str | None = None
    tracker: Tracker | None = None
    outputs: dict[str, StageOutput] = field(default_factory=dict)

    def left(self, kind: type[OutputT]) -> OutputT:
        """What the stage before that leaves this kind of output has left."""
        return left(self.outputs, kind)

    def find(self, kind: type[OutputT]) -> OutputT | None:
        """As ``left``; None in a run of a release that did not have that stage."""
        return next((output for output in self.outputs.values() if isinstance(output, kind)), None)

    @cached_property
    def tracking(self) -> RunTracking:
        """Reports the run to its tracker, if it has one."""
        return RunTracking(self.tracker, self.progress)

    @property
    def curated(self) -> Path:
        """The folder of curated rows."""
        return self.folder / "curated"

    def run_id(self) -> str:
        """The run's own identity, made once; a new folder is a new run."""
        return str(RunFacts.read(self.ledger).run_id)


class Stage(Protocol):
    """One step of a run.

    Attributes:
        name: as in the ledger and on the command line.
        version: raised whenever the code changes what the stage makes of the same inputs.
    """

    name: str
    version: int

    @property
    def leaves(self) -> type[StageOutput]:
        """The class of its output."""
        ...

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        """Everything that decides the result, as JSON."""
        ...

    async def run(self, context: RunContext) -> StageOutput:
        """Do it; the answer is kept in the ledger."""
        ...


def left(outputs: Mapping[str, StageOutput], kind: type[OutputT]) -> OutputT:
    """The output of a kind among those of a run's stages."""
    return next(output for output in outputs.values() if isinstance(output, kind))


def code_version(stage: Stage) -> str:
    """The version of the code that a stage is done with."""
    return f"{'.'.join(__version__.split('.')[:2])}/{stage.version}"


def stage_digest(stage: Stage, context: RunContext) -> str:
    """The hash by which a finished stage is recognised: inputs, options and code version."""
    content = {
        "stage": stage.name,
        "version": stage.version,
        "lawtags": code_version(stage).split("/")[0],
        "inputs": stage.inputs(context),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def file_digests(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files, by their path below the run's folder."""
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in paths}


def intact(folder: Path, output: StageOutput) -> bool:
    """Whether every file that a stage left is still there as it left it."""
    return all(
        (folder / name).is_file() and sha256_file(folder / name) == digest
        for name, digest in output.files.items()
    )
