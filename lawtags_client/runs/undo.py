"""Undoing a run: removing from the platform what it has made there, and nothing that another run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform import Platform, PlatformItem, RemovedItem
from lawtags_client.platform.protocol import ItemKind
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import public_addresses
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.naming import run_of_repeat, runs_around
from lawtags_client.runs.outputs import CustomizeOutput, UploadOutput
from lawtags_client.runs.overview import ledgers_below
from lawtags_client.runs.repeats import FOLDER as REPEATS

_LEDGER = "ledger.sqlite"
_JOBS: Mapping[str, ItemKind] = {"evaluation": "evaluation job", "customization": "training job"}
_GONE = ("removed", "absent")


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What is to be removed from the platform.

    Attributes:
        items: in the order of their removal.
        shared: what stays, because another run needs it.
    """

    items: tuple[PlatformItem, ...]
    shared: tuple[RemovedItem, ...]


def plan_undo(folder: Path, services: Mapping[str, str]) -> UndoPlan:
    """What a run has made on its platform.

    Args:
        folder: of the run.
        services: the address of each service that would be asked.

    Raises:
        ConfigurationError: it is a repeat of another run, or was made on another platform.
        DataError: the ledger is damaged.
    """
    if run_of_repeat(folder) is not None:
        raise ConfigurationError(
            f"{folder} is a repeat of another run", hint="Undo the run itself, with all of its repeats."
        )
    _check_platform(folder, services)
    trained = frozenset(each.job for each in _trainings(folder))
    items = [
        PlatformItem(_JOBS[intent.kind], intent.remote_id, intent.token, trained)
        for intent in SqliteIntents(folder / _LEDGER).all()
        if intent.kind in _JOBS
    ]
    # An evaluation reads the model and the dataset, and a training writes the model.
    items.sort(key=lambda item: list(_JOBS.values()).index(item.kind))
    needed = {name: run for run in _others(folder) for name in _needed_by(run)}
    shared: list[RemovedItem] = []
    for kind, names in (("model", _models(folder)), ("dataset", _datasets(folder))):
        for name in names:
            if name in needed:
                shared.append(RemovedItem(kind, name, "kept", f"run {needed[name].name} needs it"))
            else:
                items.append(PlatformItem("model" if kind == "model" else "dataset", name))
    return UndoPlan(tuple(items), tuple(shared))


async def undo_run(
    folder: Path,
    planned: UndoPlan,
    platform: Platform,
    *,
    on_removed: Callable[[RemovedItem], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[RemovedItem]:
    """Remove what a run has made; called again after an interruption, it removes the rest.

    Args:
        folder: of the run.
        planned: from ``plan_undo``.
        platform: where it was made.
        on_removed: called for each thing.
        now: the wall clock, for the record.

    Raises:
        BusyError: another process works on the run.
        LawtagsError: the platform does not answer.
    """
    done = [*planned.shared]
    with run_lock(folder):
        store = SqliteIntents(folder / _LEDGER)
        intents = {intent.token: intent for intent in store.all()}
        for item in planned.items:
            results = await platform.remove(item)
            for result in results:
                on_removed(result)
            done += results
            if item.token in intents and all(result.outcome in _GONE for result in results):
                # The audit must not miss what was removed on purpose.
                store.forget(intents[item.token].key)
        left = sum(result.outcome == "failed" for result in done)
        record = {"at": now().isoformat(timespec="seconds"), "removed": [asdict(each) for each in done]}
        Ledger(folder / _LEDGER).set_fact("undone" if not left else "undoing", record)
    return done


def _check_platform(folder: Path, services: Mapping[str, str]) -> None:
    facts = RunFacts.of_folder(folder)
    recorded = (facts.inputs or {}).get("services")
    if isinstance(recorded, Mapping) and dict(recorded) != public_addresses(services):
        profile = f" with --profile {facts.profile}" if facts.profile else ""
        places = ", ".join(dict.fromkeys(map(str, recorded.values())))
        raise ConfigurationError(
            f"run {folder.name!r} was made on another platform: {places}",
            hint=f"Repeat the command{profile}, or with the addresses of that platform.",
        )


def _ledgers(folder: Path) -> list[Ledger]:
    """The ledger of a run, and those of its repeats."""
    repeats = sorted((folder / REPEATS).glob(f"*/{_LEDGER}"))
    return [Ledger(path) for path in (folder / _LEDGER, *repeats)]


def _trainings(folder: Path) -> list[CustomizeOutput]:
    found = [ledger.finished("customize") for ledger in _ledgers(folder)]
    return [CustomizeOutput.from_json(each.output) for each in found if each]


def _models(folder: Path) -> Sequence[str]:
    return tuple(dict.fromkeys(each.output_model for each in _trainings(folder)))


def _datasets(folder: Path) -> Sequence[str]:
    """What it has uploaded, and what it began to upload before it was stopped or got other data."""
    found = [ledger.finished("upload") for ledger in _ledgers(folder)]
    finished = [UploadOutput.from_json(each.output).dataset for each in found if each]
    begun = [name for ledger in _ledgers(folder) for name in RunFacts.read(ledger).datasets]
    return tuple(dict.fromkeys([*finished, *begun]))


def _others(folder: Path) -> list[Path]:
    """The other runs in the same folder, and the trials of its sweeps, that still use the platform.

    Raises:
        ConfigurationError: what one of them needs cannot be read.
    """
    found = []
    for path in ledgers_below(runs_around(folder)):
        other = path.parent
        if other.samefile(folder) or run_of_repeat(other) is not None:
            continue
        try:
            if RunFacts.of_folder(other).undone is None:
                found.append(other)
        except DataError as problem:
            raise ConfigurationError(
                f"what run {other.name!r} needs on the platform cannot be read: {problem.message}",
                hint=f"Repair {path}, or remove that run: lawtags runs rm {other.name} --keep-on-platform",
            ) from problem
    return found


def _needed_by(folder: Path) -> Iterator[str]:
    yield from _models(folder)
    uploads = [(ledger, ledger.finished("upload")) for ledger in _ledgers(folder)]
    for ledger, finished in uploads:
        if finished is not None:
            yield UploadOutput.from_json(finished.output).dataset
        else:
            # The last one that it began to upload may be under way.
            yield from RunFacts.read(ledger).datasets[-1:]
