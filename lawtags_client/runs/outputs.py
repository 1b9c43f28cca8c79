"""What each stage of a run leaves: one class per stage; the ledger keeps them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from lawtags_client.json_value import JsonObject
from lawtags_client.runs.documents import validated
from lawtags_client.runs.metrics import IncompleteSystem, JudgedGate, ValidationRows
from lawtags_client.runs.planning.findings import PlanFinding
from lawtags_client.runs.planning.memory import MemoryEstimate
from lawtags_client.runs.planning.rates import HourlyPrice
from lawtags_client.runs.planning.timing import TimeEstimate, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutput:
    """What every stage leaves.

    Args:
        files: SHA-256 of what was written, by path below the run's folder.
        missing: how many rows a later attempt may add; a stage that left such is done again by the next
            command.
        summary: figures for people.
    """

    files: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    summary: dict[str, str | int | float | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """As the ledger keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> Self:
        """What the ledger has kept; fields of other releases are left out.

        Raises:
            DataError: a field is missing or has another type.
        """
        hint = "Use the release that wrote the run, or start another one with --new."
        return validated(cls, kept, what=f"the ledger's {cls.__name__}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateOutput(StageOutput):
    """Curated rows.

    Args:
        rows: how many there are, by part: ``training``, ``validation``, ``testing``.
        digest: of all of them.
    """

    rows: dict[str, int] = field(default_factory=dict)
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens of the training rows.

    Args:
        counter: ``tokenizer``, or ``estimate`` where there is none.
        training_total: of all rows.
        mean: per row.
        longest: of the longest row.
        over_max_seq_length: how many rows are longer than the model takes.
    """

    counter: str
    training_total: int
    mean: float | None = None
    longest: int
    over_max_seq_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What the training job will be; content of ``plan.json``.

    Args:
        config: the Customizer's config.
        base_model: the model it trains.
        num_parameters: of the base model.
        max_seq_length: in tokens.
        rows: how many there are, by part.
        tokens: of the training rows.
        steps: of the optimizer.
        rows_seen: training rows, each as often as it is seen.
        hyperparameters: as the job is sent them.
        output_model: name of the result.
        findings: what should be known before; none in plans of older releases.
        work: of the job, in tokens and passes.
        memory: estimated, where the shape of the model is known.
        time: estimated, where there is something to go by.
        hourly: what an hour of the job costs, where the recipe says so.
        stage_seconds: how long the stages after this one are expected to take, by earlier runs of the recipe.
    """

    config: str
    base_model: str = ""
    num_parameters: int | None = None
    max_seq_length: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    tokens: TokenCounts
    steps: int
    rows_seen: int | None = None
    hyperparameters: JsonObject
    output_model: str
    findings: tuple[PlanFinding, ...] = ()
    work: Workload | None = None
    memory: MemoryEstimate | None = None
    time: TimeEstimate | None = None
    hourly: HourlyPrice | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOutput(StageOutput):
    """The plan of the job."""

    plan: JobPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesOutput(StageOutput):
    """The systems without a language model: their predictions, and the fitted retriever.

    Args:
        embeddings: the retriever's encoder, or why it has none, in words.
    """

    embeddings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOutput(StageOutput):
    """The data set on the platform.

    Args:
        dataset: its ``namespace/name``.
        files_url: where its files are.
        uploaded: SHA-256 by path.
    """

    dataset: str
    files_url: str
    uploaded: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomizeOutput(StageOutput):
    """The finished training job and the model it made."""

    job: str
    output_model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOutput(StageOutput):
    """The encoder that was tuned to give tags, and its predictions.

    Args:
        absent: why there is none, in words; None if there is one.
    """

    absent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendOutput(StageOutput):
    """The predictions of encoder and retriever together, if there is an encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOutput(StageOutput):
    """The tuned model and its base model, as the inference endpoint names them."""

    model: str
    base_model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOutput(StageOutput):
    """The predictions of all systems, and the tagger.

    Args:
        model: the tuned model that was asked.
        validation: what the tagger was fitted on; None in runs of older releases.
        embeddings: the retriever's encoder, or why it has none, in words; None in runs of older releases.
    """

    model: str
    validation: ValidationRows | None = None
    embeddings: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOutput(StageOutput):
    """The verdict.

    Args:
        gates: what came of each gate of the recipe.
        incomplete: systems with too many rows without an answer.
    """

    gates: tuple[JudgedGate, ...] = ()
    incomplete: tuple[IncompleteSystem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsOutput(StageOutput):
    """The verdict over repeated splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutput(StageOutput):
    """The report and the model card."""
