"""A run's intents carried out by NeMo Helix."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from lawtags_client.closing import closing
from lawtags_client.errors import (
    ConfigurationError,
    JobFailedError,
    LawtagsError,
    NotFoundError,
    WaitTimeoutError,
)
from lawtags_client.helix.client import Helix
from lawtags_client.helix.jobs import LogCursor, awaited
from lawtags_client.helix.names import adapter_reference, make_name, split_adapter, split_reference
from lawtags_client.helix.types.jobs import JobStatus, is_final
from lawtags_client.helix.types.models import HelixModel
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.platform import prompting
from lawtags_client.platform.helix_diagnosis import explained_on_helix
from lawtags_client.platform.helix_evaluation import evaluation_spec, named_scores, rows_scored, tag_scores
from lawtags_client.platform.helix_filesets import TESTING, shortened, test_fileset
from lawtags_client.platform.helix_jobs import (
    METHODS,
    TRAINED_TOKENS,
    TrainingProgress,
    output_name,
    training_spec,
)
from lawtags_client.platform.helix_removal import HelixRemoval
from lawtags_client.platform.protocol import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    ModelAnswer,
    PlatformDataset,
    PlatformItem,
    PromptInput,
    RemovedItem,
    TrainingConfig,
    TrainingLayout,
)
from lawtags_client.platform.silence import silent_job
from lawtags_client.platform.unattended import CONTROLLER_CURE, GRACE, UnattendedJob, runner_cure
from lawtags_client.services.data_store.layout import check
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.tagging.vocabulary import Vocabulary

_MOST_LINES = 2000


class HelixPlatform:
    """NeMo Helix as a platform for runs. Namespaces of a recipe are workspaces here.

    Args:
        helix: an open client; the caller closes it.
        grace: seconds after which to tell that nothing carries out a job.
    """

    def __init__(self, helix: Helix, *, grace: float = GRACE) -> None:
        self._helix, self._grace = helix, grace

    async def config(self, name: str) -> TrainingConfig:
        """What can be trained: a model with a fileset of weights.

        Args:
            name: of the model, ``workspace/name``; the version and target of a v1 config are left out.

        Raises:
            ConfigurationError: there is none of that name, or it has no weights.
        """
        model = await self._model(name)
        if model.fileset is None:
            raise ConfigurationError(
                f"the model {model.reference} has no fileset, so it cannot be trained",
                hint="Upload its weights, and link them: helix.models.update(NAME, fileset=FILESET)",
            )
        spec = model.spec or {}
        length, size = spec.get("context_size"), spec.get("base_num_parameters")
        return TrainingConfig(
            name=model.reference,
            base_model=model.reference,
            max_seq_length=min(length, TRAINED_TOKENS) if isinstance(length, int) else TRAINED_TOKENS,
            methods=METHODS,
            num_parameters=size if isinstance(size, int) else None,
            precision="bf16",
            layouts=dict.fromkeys(METHODS, TrainingLayout()),
            dialect="helix",
        )

    async def _model(self, name: str) -> HelixModel:
        plain = name.partition("@")[0]
        for reference in dict.fromkeys((name, plain)):
            try:
                split_reference(reference, self._helix.workspace)
            except ConfigurationError:
                continue
            found = await self._helix.models.find(reference)
            if found is not None:
                return found
        # The namespace of a v1 config is the vendor's, and need not be a workspace here.
        bare = make_name(plain.rpartition("/")[2])
        trainable = [model async for model in self._helix.models.list(workspace="-") if model.fileset]
        alike = [model for model in trainable if model.name == bare]
        if len(alike) == 1:
            return alike[0]
        offered = ", ".join(model.reference for model in (alike or trainable)[:10]) or "none"
        problem = f"is in {len(alike)} workspaces" if alike else "does not exist on the platform"
        raise ConfigurationError(
            f"the model {name!r} {problem}",
            hint=f"Set model.config to workspace/name@helix of a model. Models with weights: {offered}.",
        )

    async def upload(
        self, name: str, folder: Path, *, on_bytes: Callable[[int, int], None] | None = None
    ) -> PlatformDataset:
        """Put a folder of curated rows into filesets, or find it there unchanged.

        Training and validation go into one, because a job downloads its training fileset alone. The test rows
        have their own, so that no training can see them.

        Args:
            name: ``workspace/name`` of the dataset.
            folder: holds ``training``, ``validation`` and, if there are any, ``testing`` rows.
            on_bytes: called with the bytes done and the total.
        """
        import asyncio

        workspace, dataset = split_reference(shortened(name), self._helix.workspace, "dataset")
        layout = await asyncio.to_thread(check, folder)
        test = {path: file for path, file in layout.files.items() if path.startswith(f"{TESTING}/")}
        training = {path: file for path, file in layout.files.items() if path not in test}
        await self._helix.workspaces.ensure(name=workspace, compare=())
        files: dict[str, str] = {}
        for fileset, sources in ((dataset, training), (test_fileset(dataset), test)):
            if not sources:
                continue
            await self._helix.filesets.ensure(
                name=fileset,
                workspace=workspace,
                purpose="dataset",
                description="Curated legal questions with their tags",
                compare=(),
            )
            done = await self._helix.filesets.upload(
                f"{workspace}/{fileset}", sources, prune=True, on_bytes=on_bytes
            )
            files |= done.files
        return PlatformDataset(name=f"{workspace}/{dataset}", files_url=f"{workspace}/{dataset}", files=files)

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        """Start training, or find the job that this intent started before."""
        workspace = intent.output_model.partition("/")[0] if "/" in intent.output_model else None
        chosen = workspace or self._helix.workspace
        model = await self._model(intent.config)
        spec = training_spec(intent, base=model.reference, dataset=intent.dataset)
        name, described = output_name(intent), intent.description or None
        training = self._helix.customization
        if isinstance(spec, RlSpec):
            job = await training.rl.submit(
                spec, name=name, key=intent.key, workspace=chosen, description=described
            )
        else:
            job = await training.automodel.submit(
                spec, name=name, key=intent.key, workspace=chosen, description=described
            )
        output = job.output or f"{chosen}/{name}"
        if job.output_type == "adapter":
            output = adapter_reference(model.reference, output)
        return JobReference(f"{chosen}/{job.name}", output)

    async def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        """Signs of life of a training until it is complete.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: nothing happened for ``stall`` seconds; it is still running.
            WaitTimeoutError: it took longer than ``timeout`` seconds; it is still running.
        """
        clock, jobs = self._helix.clock, self._helix.jobs
        poller = Poller(clock, Patience().within(timeout))
        progress, cursor = TrainingProgress(), LogCursor()
        unattended = UnattendedJob(self._helix, job_id, cure=runner_cure(self._helix), grace=self._grace)
        begin = moved = clock.monotonic()
        before: object = None
        while True:
            status = await poller.look(lambda: jobs.status(job_id))
            points = progress.update(status)
            messages, notice = await self._log(job_id, cursor), await unattended.notice(status)
            now = clock.monotonic()
            seen = (status.status, status.updated_at, _states(status))
            changed = bool(points or messages) or seen != before
            if changed:
                before, moved = seen, now
            if changed or notice:
                yield JobUpdate(
                    status=status.status or "unknown",
                    steps=progress.steps,
                    percentage=progress.percentage,
                    points=tuple(points),
                    messages=messages,
                    lines=messages,
                    total_steps=progress.total_steps,
                    notice=notice,
                )
            if is_final(status.status):
                try:
                    awaited(job_id, None).check(status.status, status.reason)
                except JobFailedError as problem:
                    raise await explained_on_helix(self._helix, job_id, problem) from None
                return
            if now - begin > timeout or now - moved > stall:
                late = now - begin > timeout
                nobody = unattended.unclaimed or status.status == "created"
                hint = {"hint": f"Nothing has taken it. {runner_cure(self._helix, status)}"} if nobody else {}
                raise silent_job(job_id, status.status, stall=stall, late=late, **hint)
            await poller.rest(moved=changed)

    async def _log(self, job_id: str, cursor: LogCursor) -> tuple[str, ...]:
        """The new lines of a job's log; a log that cannot be read costs the lines, not the run."""
        lines, read = list[str](), 0
        try:
            while read < _MOST_LINES:
                found = await self._helix.jobs.next_lines(job_id, cursor)
                read += len(found)
                lines += [line.message for line in found if line.message.strip()]
                if not found:
                    break
        except LawtagsError:
            pass
        return tuple(lines)

    async def cancel(self, job_id: str) -> None:
        """Request that a training ends; one that has ended already stays as it is."""
        await self._helix.jobs.cancel(job_id)

    async def served(self, model: str, *, timeout: float) -> None:
        """Wait until the gateway routes to a server that has the model or adapter."""
        await self._helix.gateway.models(_workspace(model)).served(model, timeout=timeout)

    async def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
        """Log-probabilities of the likeliest next tokens of each prompt, as they come."""
        inference = self._helix.gateway.models(_workspace(model))
        async with closing(prompting.first_tokens(inference, model, prompts, top=top)) as found:
            async for each in found:
                yield each

    async def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        *,
        vocabulary: Vocabulary,
        most: int,
        max_tokens: int,
    ) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
        """Greedy answers of at most so many tags, constrained to a vocabulary if the server can."""
        inference = self._helix.gateway.models(_workspace(model))
        asked = prompting.answers(
            inference, model, prompts, vocabulary=vocabulary, most=most, max_tokens=max_tokens
        )
        async with closing(asked) as found:
            async for each in found:
                yield each

    async def evaluate(
        self,
        intent: EvaluationIntent,
        *,
        timeout: float,
        on_progress: Callable[[float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> EvaluationSummary:
        """Have NVIDIA's evaluator score a served model's free answers with string metrics.

        Args:
            intent: its ``files_url`` is ``workspace/dataset/testing/FILE``, as of ``upload``.
            timeout: seconds to wait.
            on_progress: called with the percentage.
            on_notice: called with a sentence where nothing carries the evaluation out.
        """
        gateway = self._helix.gateway.url(_workspace(intent.model))
        spec = evaluation_spec(intent, dataset=_test_rows(intent.files_url), url=gateway)
        # A job asks the address that it was given: at another address, it is a job of its own.
        address = hashlib.sha256(gateway.encode()).hexdigest()[:8]
        evaluations = self._helix.evaluations
        started = await evaluations.submit(spec, key=f"{intent.key}-{address}", workspace=intent.namespace)
        reference = f"{intent.namespace}/{started.name}"
        if on_progress is not None:
            on_progress(0.0)
        unattended = UnattendedJob(self._helix, reference, cure=CONTROLLER_CURE, grace=self._grace)

        async def attend(status: JobStatus) -> None:
            if (notice := await unattended.notice(status)) and on_notice is not None:
                on_notice(notice)

        try:
            await evaluations.wait(reference, timeout=timeout, on_status=attend)
        except JobFailedError as problem:
            raise await explained_on_helix(self._helix, reference, problem) from None
        except WaitTimeoutError as error:
            if unattended.unclaimed:
                error.hint = f"Nothing has taken it. {CONTROLLER_CURE}"
            raise
        aggregate = await evaluations.scores(reference)
        tags, rows = await tag_scores(evaluations.rows(reference))
        return EvaluationSummary(
            reference,
            named_scores(aggregate) | tags,
            aggregate.model_dump(mode="json"),
            rows_scored(aggregate, rows),
        )

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        """Add files to the fileset of a tuned model.

        Files that NVIDIA's upload task left are immutable until its mark is taken off.
        """
        base, adapter = split_adapter(model)
        fileset = (
            (await self._helix.adapters.get(adapter)).fileset
            if adapter is not None
            else (await self._helix.models.get(base)).fileset
        )
        if fileset is None:
            raise NotFoundError(f"{model} has no fileset", hint="Link it to its weights first.")
        workspace = (adapter or base).partition("/")[0]
        reference = fileset if "/" in fileset else f"{workspace}/{fileset}"
        await self._helix.filesets.unlock(reference)
        await self._helix.filesets.upload(reference, dict(files))

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Remove what a run has made."""
        return await HelixRemoval(self._helix).remove(item)


def _workspace(model: str) -> str:
    base, adapter = split_adapter(model)
    return (adapter or base).partition("/")[0]


def _test_rows(files_url: str) -> str:
    """The reference of test rows: those of ``upload`` are in a fileset of their own."""
    if "#" in files_url:
        return files_url
    parts = files_url.split("/", 2)
    if len(parts) < 3 or not parts[2].startswith(f"{TESTING}/"):
        raise ConfigurationError(
            f"{files_url!r} names no test rows", hint="Use workspace/dataset/testing/FILE, or a fileset#file."
        )
    return f"{parts[0]}/{test_fileset(parts[1])}#{parts[2]}"


def _states(status: JobStatus) -> tuple[tuple[str, str | None, str], ...]:
    return tuple(
        (step.name, step.status, ",".join(f"{task.name}={task.updated_at}" for task in step.tasks))
        for step in status.steps
    )
