"""A run's view of a platform: a handful of intents, no endpoints.

The v1 microservices are the first implementation (:mod:`lawtags_client.platform.v1`). Whatever speaks
this protocol can carry a run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from lawtags_client.json_value import JsonValue
from lawtags_client.tagging.vocabulary import Vocabulary

PromptInput = str | tuple[Mapping[str, str], ...]
"""What a model is asked: a text to complete, or the messages of a chat."""


@dataclass(frozen=True, slots=True)
class TrainingLayout:
    """The hardware that one way of training takes.

    Attributes:
        gpus: of each node; 0 for a CPU.
        nodes: machines.
        micro_batch_size: rows per GPU and forward pass.
        tensor_parallel: GPUs that share each layer.
        pipeline_parallel: GPUs that share the layers.
    """

    gpus: int = 1
    nodes: int = 1
    micro_batch_size: int = 1
    tensor_parallel: int = 1
    pipeline_parallel: int = 1


Dialect = Literal["v1", "helix"]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """What can be trained, as the platform offers it.

    Attributes:
        name: ``namespace/name@version``.
        base_model: the model that is tuned and, untouched, served.
        max_seq_length: longest row in tokens, where known.
        methods: ``(training_type, finetuning_type)`` pairs on offer.
        prompt_template: how a row becomes text.
        chat: whether rows of messages are wanted.
        num_parameters: size of the base model, where known.
        precision: of the numbers in training, where known.
        layouts: the hardware of each method, where known.
        dialect: the API of the platform.
        checked: whether the platform has it; False for a plan without a platform.
    """

    name: str
    base_model: str
    max_seq_length: int | None
    methods: tuple[tuple[str, str], ...]
    prompt_template: str | None = None
    chat: bool = False
    num_parameters: int | None = None
    precision: str | None = None
    layouts: Mapping[tuple[str, str], TrainingLayout] = field(default_factory=dict)
    dialect: Dialect = "v1"
    checked: bool = True


@dataclass(frozen=True, slots=True)
class PlatformDataset:
    """Curated rows on the platform.

    Attributes:
        name: ``namespace/name`` of the dataset entity.
        files_url: where its files are.
        files: file path to SHA-256.
    """

    name: str
    files_url: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FineTuneIntent:
    """One wish for one tuned model.

    Attributes:
        key: stable across restarts of the same wish; a deliberate repeat has a new one.
        config: the training configuration.
        dataset: the dataset entity.
        hyperparameters: as the recipe gives them, None left out.
        output_model: ``namespace/name``.
        description: for people who look at the platform.
        layout: ``micro_batch_size``, ``precision`` and ``max_seq_length``, where the recipe gives them; on v1
            the config decides.
        wandb: ``project``, ``entity``, ``notes``, ``tags`` and ``api_key_secret`` for Weights & Biases; empty
            if the recipe has no project. Where a training is reported makes no other training.
    """

    key: str
    config: str
    dataset: str
    hyperparameters: Mapping[str, JsonValue]
    output_model: str
    description: str = ""
    layout: Mapping[str, JsonValue] = field(default_factory=dict)
    wandb: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobReference:
    """A job on the platform, and the model it makes."""

    id: str
    output_model: str


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """One sign of life of a job.

    Attributes:
        status: the job's state.
        steps: optimizer steps done.
        percentage: epoch-wise progress as the platform reports it, 0 to 100.
        points: new metric points ``(metric, step, value)``; steps count from zero.
        messages: new log lines and warnings that deserve attention.
        lines: all new log lines and warnings, for a view of the last ones.
        times: when steps were done, ``(step, seconds)`` by the platform's clock, if it says so.
        total_steps: optimizer steps of the whole job, if the platform says so.
        validate_every: steps between two validations, if that follows from the job.
        validation_cost: about what a validation takes, in training steps, if that follows from the job.
        peak_memory: most memory of the training process in bytes, where the platform tells.
        notice: what whoever waits should know or do, in a sentence; nothing that the platform said.
    """

    status: str
    steps: int | None = None
    percentage: float | None = None
    points: tuple[tuple[str, int, float], ...] = ()
    messages: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    times: tuple[tuple[int, float], ...] = ()
    total_steps: int | None = None
    validate_every: int | None = None
    validation_cost: float | None = None
    peak_memory: int | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model wrote.

    Attributes:
        text: its words.
        held: whether the server constrained it to the vocabulary; None if that is not known.
    """

    text: str
    held: bool | None = None


@dataclass(frozen=True, slots=True)
class EvaluationIntent:
    """One wish for one evaluation of a served model.

    Attributes:
        key: stable across restarts of the same wish.
        model: the served model's id.
        files_url: the test rows, one file of ``prompt`` and ``completion``.
        namespace: where config and target go.
        limit: most rows to score.
        max_tokens: longest answer.
    """

    key: str
    model: str
    files_url: str
    namespace: str
    limit: int
    max_tokens: int = 32


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """What the platform's evaluator said.

    Attributes:
        job_id: the evaluation.
        scores: ``metric/score`` to value.
        raw: the whole result.
        scored: the fewest rows that a score was computed from, where the evaluator tells.
    """

    job_id: str
    scores: Mapping[str, float]
    raw: Mapping[str, JsonValue] = field(default_factory=dict)
    scored: int | None = None


ItemKind = Literal["evaluation job", "training job", "model", "dataset"]

Outcome = Literal["removed", "absent", "kept", "failed"]
"""``kept``: the API cannot delete it, or others need it. ``failed``: it may work when it is tried again."""


@dataclass(frozen=True, slots=True)
class PlatformItem:
    """Something that a run has made on a platform.

    Attributes:
        kind: what it is.
        name: the id of a job, or the reference of a model or dataset; None for a job whose id never arrived.
        token: the one that a job carries.
        listed_outputs: ids or names of the training jobs whose outputs are items of their own, or are kept.
            What another job makes is removed with it, since only the job knows the name.
    """

    kind: ItemKind
    name: str | None
    token: str | None = None
    listed_outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RemovedItem:
    """What came of the removal of a thing; a dataset, for example, is an entity and a repository.

    Attributes:
        what: the thing, in words.
        name: its id or reference.
        outcome: whether it is gone.
        reason: why it is not.
    """

    what: str
    name: str
    outcome: Outcome
    reason: str | None = None


class Platform(Protocol):
    """What a run asks of a platform; every call may be repeated after a crash."""

    async def config(self, name: str) -> TrainingConfig:
        """The training configuration of that name, once its base model is ready to train."""
        ...

    async def upload(
        self, name: str, folder: Path, *, on_bytes: Callable[[int, int], None] | None = None
    ) -> PlatformDataset:
        """Put a folder of curated rows on the platform, or find it there unchanged."""
        ...

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        """Start training, or find the job that this intent started before."""
        ...

    def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        """Signs of life of a training until it is complete; other ends raise."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Request that a training ends; one that has ended already stays as it is."""
        ...

    async def served(self, model: str, *, timeout: float) -> None:
        """Wait until the model answers at the inference endpoint."""
        ...

    def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
        """Log-probabilities of the likeliest next tokens of each prompt, as they come.

        The prompts are gone through once, each when it is sent, so that a caller can count those under way.
        """
        ...

    def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        *,
        vocabulary: Vocabulary,
        most: int,
        max_tokens: int,
    ) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
        """Greedy answers of at most so many tags, constrained to a vocabulary if the server can.

        They come in any order. The prompts are read as by ``first_tokens``.
        """
        ...

    async def evaluate(
        self,
        intent: EvaluationIntent,
        *,
        timeout: float,
        on_progress: Callable[[float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> EvaluationSummary:
        """Have the platform score a served model on a file of rows.

        A notice is a sentence that whoever waits should know, such as that nothing carries the job out.
        """
        ...

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        """Add files, such as the model card, to the tuned model's repository."""
        ...

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Remove what a run has made: first its jobs, then its models, then its datasets.

        A job that is running is cancelled first.
        """
        ...
