"""Running the steps over all partitions: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lawtags_client.curation.staging import WorkFolder, read_partition
from lawtags_client.curation.steps import Step
from lawtags_client.errors import ConfigurationError, DataError

# Below this much text a second process takes longer to start than it saves.
_CHARACTERS_FOR_PROCESSES = 6_000_000


def choose_workers(characters: int, partitions: int) -> int:
    """How many processes are worth their start on this machine.

    Args:
        characters: length of all texts.
        partitions: how many can be worked on at once.
    """
    if characters < _CHARACTERS_FOR_PROCESSES:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, partitions))


def run_steps(
    steps: Sequence[Step],
    work: WorkFolder,
    partitions: int,
    *,
    scheduler: str | None,
    workers: int,
    on_done: Callable[[int], None],
) -> None:
    """Take every partition that is not done through the steps, and save it.

    Args:
        steps: in their order.
        work: where the partitions are.
        partitions: how many there are.
        scheduler: address of a Dask cluster whose workers see the same folder; None stays on this machine.
        workers: processes on this machine.
        on_done: told how many partitions are done.

    Raises:
        MissingExtraError: NeMo Curator is not installed.
        ConfigurationError: the cluster cannot be reached, or does not see the folder.
    """
    pending = work.pending(partitions)
    if not pending:
        return
    # Late: it takes seconds, which a mistake in the input should not cost.
    import dask.dataframe

    from lawtags_client.curation import curator

    folder = str(work.folder.resolve())
    frame = dask.dataframe.from_map(
        read_partition, pending, folder=folder, meta=read_partition(pending[0], folder).iloc[:0]
    )
    modules = [*(curator.RecordedStep(step) for step in steps), curator.SavedPartitions(folder)]
    saved = curator.Sequential(modules)(curator.DocumentDataset(frame))
    parts = saved.df.to_delayed()
    done = partitions - len(pending)
    if scheduler is not None:
        _on_cluster(parts, scheduler, folder, done, on_done)
    elif workers == 1:
        for number, part in enumerate(parts, start=done + 1):
            part.compute(scheduler="synchronous")
            on_done(number)
    else:
        _in_processes(parts, workers, done, on_done)
    if left := work.pending(partitions):
        raise DataError(f"{len(left)} of {partitions} partitions were not written", hint="Run it again.")


def _in_processes(parts: Sequence[Any], workers: int, done: int, on_done: Callable[[int], None]) -> None:
    import dask
    from dask.callbacks import Callback

    wanted = {part.key for part in parts}

    class Count(Callback):  # type: ignore[misc]
        def _posttask(self, key: Any, *_: Any) -> None:
            nonlocal done
            if key in wanted:
                done += 1
                on_done(done)

    with Count():
        dask.compute(*parts, scheduler="processes", num_workers=workers, chunksize=1)


def _on_cluster(
    parts: Sequence[Any], scheduler: str, folder: str, done: int, on_done: Callable[[int], None]
) -> None:
    import distributed

    try:
        client = distributed.Client(scheduler, timeout="30s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the Dask scheduler {scheduler} cannot be reached: {error}", hint="Check the address."
        ) from error
    with client:
        blind = [worker for worker, sees in client.run(_sees, folder).items() if not sees]
        if blind:
            raise ConfigurationError(
                f"{len(blind)} Dask workers do not see the folder {folder}",
                hint="Write to a folder that all workers share, or curate without a scheduler.",
            )
        futures = client.compute(list(parts))
        for number, future in enumerate(distributed.as_completed(futures, loop=client.loop), start=done + 1):
            future.result()
            on_done(number)


def _sees(folder: str) -> bool:
    return Path(folder).is_dir()
