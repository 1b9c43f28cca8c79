"""Running steps on partitions: in this process, in several, or on a Dask cluster.

Processes on this machine apply the steps themselves. A cluster gets them as a pipeline of NeMo Curator, whose
import alone takes seconds. The files are the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lawtags_client.curation.examples import stride_for
from lawtags_client.curation.options import PiiOptions
from lawtags_client.curation.staging import StagedQuestions, WorkFolder, read_partition, save_partition
from lawtags_client.curation.steps import Step, load_names, prepare_steps, run_step
from lawtags_client.curation.worker_pool import WorkerPool
from lawtags_client.errors import ConfigurationError, DataError, LawtagsError

if TYPE_CHECKING:
    import distributed
    from dask.delayed import Delayed

# Below this much text a second process takes longer to start than it saves.
_CHARACTERS_FOR_PROCESSES = 6_000_000
# Partitions per Dask graph: a graph of very many would fill memory.
_PARTITIONS_AT_ONCE = 256

Done = Callable[[int], None]


class PartitionRunner(Protocol):
    """Runs work on partitions."""

    def apply(
        self, steps: Sequence[Step], folder: str, numbers: Sequence[int], stride: int, on_done: Done
    ) -> None:
        """Apply the steps to partitions, and save them.

        Args:
            steps: in their order.
            folder: of the work.
            numbers: of the partitions.
            stride: the distance between questions sampled for examples.
            on_done: called with the number of each finished partition.

        Raises:
            MissingExtraError: NeMo Curator is needed here, and not installed.
        """

    def call(
        self, function: Callable[..., None], arguments: Mapping[int, tuple[object, ...]], on_done: Done
    ) -> None:
        """Call a function once per partition, with its number first.

        Args:
            function: what to call.
            arguments: its further arguments, by partition.
            on_done: called with the number of each finished partition.
        """


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_workers(characters: int, partitions: int) -> int:
    """The number of local processes that are worth starting.

    Args:
        characters: length of all texts.
        partitions: how many can be worked on at once.
    """
    if characters < _CHARACTERS_FOR_PROCESSES:
        return 1
    return max(1, min(usable_cores(), partitions))


class WorkerStarter:
    """Starts local worker processes as soon as it is clear that they are wanted, which reading shows.

    Args:
        workers: how many; None chooses by the length of the texts.
        options: local processes load the model of names that these ask for.
    """

    def __init__(self, workers: int | None, options: PiiOptions) -> None:
        self._workers = workers
        self._options = options
        self._pool: WorkerPool | None = None

    def look(self, characters: int, partitions: int) -> None:
        """Start the processes if they are wanted and not started.

        Args:
            characters: length of all texts so far.
            partitions: how many there are so far.
        """
        workers = self._workers or choose_workers(characters, partitions)
        if workers > 1 and self._pool is None:
            self._pool = WorkerPool(self._workers or usable_cores())
            self._pool.load(load_names, (self._options,))

    @contextlib.contextmanager
    def open(self) -> Iterator[WorkerStarter]:
        """End the processes at the end."""
        try:
            yield self
        finally:
            if self._pool is not None:
                self._pool.close()

    @property
    def pool(self) -> WorkerPool | None:
        """The processes, if they are wanted."""
        return self._pool


@contextlib.contextmanager
def open_runner(
    scheduler: str | distributed.Client | None,
    pool: WorkerPool | None,
    folder: str,
    steps: Sequence[Step] = (),
) -> Iterator[PartitionRunner]:
    """Open a runner.

    Args:
        scheduler: a Dask cluster's address, or a client of it, whose workers see the folder; None stays on
            this machine.
        pool: processes on this machine; None works in this one.
        folder: the work folder, which all workers must see.
        steps: workers load what these need, so that the first rows do not wait for it.

    Raises:
        ConfigurationError: the cluster cannot be reached, has no workers, or does not see the folder.
    """
    if scheduler is not None:
        with _client(scheduler) as client:
            _check_cluster(client, folder)
            # They load while this process does its own imports; errors recur with the first rows.
            _loading = [
                client.submit(prepare_steps, steps, workers=[worker], allow_other_workers=False, pure=False)
                for worker in client.scheduler_info(n_workers=-1)["workers"]
            ]
            yield _DaskRunner(client)
    elif pool is None:
        yield _InProcessRunner()
    else:
        yield _ProcessRunner(pool, steps)


def run_steps(
    steps: Sequence[Step],
    work: WorkFolder,
    staged: StagedQuestions,
    *,
    runner: PartitionRunner,
    on_done: Done,
) -> None:
    """Apply the steps to every pending partition, and save it.

    Args:
        steps: in their order.
        work: where the partitions are.
        staged: what reading found.
        runner: runs the work.
        on_done: called with the number of each finished partition.

    Raises:
        MissingExtraError: NeMo Curator is needed there, and not installed.
    """
    partitions = staged.partitions
    pending = work.pending(partitions)
    for begin in range(0, len(pending), _PARTITIONS_AT_ONCE):
        numbers = pending[begin : begin + _PARTITIONS_AT_ONCE]
        runner.apply(steps, work.text, numbers, stride_for(staged.rows), on_done)
    if left := work.pending(partitions):
        raise DataError(
            f"{len(left)} of {partitions} partitions were not written", hint="Repeat the command to resume."
        )


def _apply_steps(number: int, folder: str, steps: Sequence[Step], stride: int) -> None:
    """Apply the steps to a partition, and save it; a function that can go to another process."""
    frame = read_partition(number, folder, stride)
    for step in steps:
        frame = run_step(frame, step)
    save_partition(frame, folder)


def _tasks(steps: Sequence[Step], folder: str, numbers: Sequence[int], stride: int) -> dict[int, Delayed]:
    # Imported late: it takes seconds, which an error in the input should not cost.
    import dask.dataframe

    from lawtags_client.curation import curator

    meta = read_partition(numbers[0], folder).iloc[:0]
    frame = dask.dataframe.from_map(read_partition, numbers, folder=folder, stride=stride, meta=meta)
    modules = [*(curator.RecordedStep(step) for step in steps), curator.SavedPartitions(folder)]
    saved = curator.Sequential(modules)(curator.DocumentDataset(frame))
    return dict(zip(numbers, saved.df.to_delayed(), strict=True))


def _delayed(
    function: Callable[..., None], arguments: Mapping[int, tuple[object, ...]]
) -> dict[int, Delayed]:
    import dask

    task = dask.delayed(function, pure=False, traverse=False)
    return {number: task(number, *more) for number, more in arguments.items()}


class _InProcessRunner:
    """This process, one partition after the other."""

    def apply(
        self, steps: Sequence[Step], folder: str, numbers: Sequence[int], stride: int, on_done: Done
    ) -> None:
        self.call(_apply_steps, dict.fromkeys(numbers, (folder, steps, stride)), on_done)

    def call(
        self, function: Callable[..., None], arguments: Mapping[int, tuple[object, ...]], on_done: Done
    ) -> None:
        for number, more in arguments.items():
            function(number, *more)
            on_done(number)


class _ProcessRunner:
    """Several local processes."""

    def __init__(self, pool: WorkerPool, steps: Sequence[Step]) -> None:
        self._pool = pool
        pool.load(prepare_steps, (steps,))

    def apply(
        self, steps: Sequence[Step], folder: str, numbers: Sequence[int], stride: int, on_done: Done
    ) -> None:
        self.call(_apply_steps, dict.fromkeys(numbers, (folder, steps, stride)), on_done)

    def call(
        self, function: Callable[..., None], arguments: Mapping[int, tuple[object, ...]], on_done: Done
    ) -> None:
        self._pool.run(function, arguments, on_done)


class _DaskRunner:
    """A Dask cluster. The work of a lost worker is repeated by another."""

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    def apply(
        self, steps: Sequence[Step], folder: str, numbers: Sequence[int], stride: int, on_done: Done
    ) -> None:
        self._run(_tasks(steps, folder, numbers, stride), on_done)

    def _run(self, tasks: Mapping[int, Delayed], on_done: Done) -> None:
        import distributed

        # One future per partition, so that progress is known before everything is done.
        futures = self._client.compute(list(tasks.values()))
        numbers = {future.key: number for number, future in zip(tasks, futures, strict=True)}
        try:
            for future in distributed.as_completed(futures, loop=self._client.loop):
                future.result()
                on_done(numbers[future.key])
        except distributed.KilledWorker as error:
            raise LawtagsError(
                "several Dask workers ended while they worked on the same partition",
                hint="They may have run out of memory. Repeat the command to resume.",
            ) from error
        finally:
            self._client.cancel(futures)

    def call(
        self, function: Callable[..., None], arguments: Mapping[int, tuple[object, ...]], on_done: Done
    ) -> None:
        self._run(_delayed(function, arguments), on_done)


@contextlib.contextmanager
def _client(scheduler: str | distributed.Client) -> Iterator[distributed.Client]:
    import distributed

    if not isinstance(scheduler, str):
        # The caller owns this client and closes it.
        yield scheduler
        return
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        kind, place = parse_address(scheduler)
        if kind in ("tcp", "tls"):
            # Check first: a client takes a minute to give up on an address that it cannot parse.
            parse_host_port(place)
        client = distributed.Client(scheduler, timeout="30s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the Dask scheduler {scheduler} cannot be reached: {error}", hint="Check the address."
        ) from error
    with client:
        yield client


def _check_cluster(client: distributed.Client, folder: str) -> None:
    visible = client.run(_sees_folder, folder)
    if not visible:
        raise ConfigurationError(
            "the Dask cluster has no workers", hint="Start some: dask worker tcp://HOST:PORT"
        )
    excluded = [worker for worker, sees in visible.items() if not sees]
    if excluded:
        raise ConfigurationError(
            f"{len(excluded)} Dask workers do not see the folder {folder}",
            hint="Write to a folder that all workers share, or curate without a scheduler.",
        )


def _sees_folder(folder: str) -> bool:
    return Path(folder).is_dir()
