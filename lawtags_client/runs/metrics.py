"""The verdict of a run as records; content of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.html_card import card, table
from lawtags_client.runs.documents import REBUILD, read_document
from lawtags_client.tagging.abstention import CoveragePoint
from lawtags_client.tagging.calibration import Calibration
from lawtags_client.tagging.confusion import TagConfusion
from lawtags_client.tagging.metrics import Scores, TagScore

FILE = "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReason:
    """A reason for rows without an answer.

    Args:
        reason: in words.
        rows: how many have it.
    """

    reason: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures(Scores):
    """The scores of one system on the test rows.

    Args:
        intervals: low and high end of each figure's 95 % interval.
        failed: rows without an answer of its own; None in verdicts of older releases.
        refused: of these, the rows that the server refuses for good.
        failed_scored_as: what the failed rows were scored with, if there are any.
        failed_reasons: the most frequent reasons, if there are any.
    """

    intervals: dict[str, tuple[float, float]]
    failed: int | None = None
    refused: int | None = None
    failed_scored_as: str | None = None
    failed_reasons: tuple[LossReason, ...] | None = None

    def figure(self, name: str) -> float | None:
        """A figure by its name; None if there is none of that name."""
        value = getattr(self, name, None)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A paired difference of two systems in one figure.

    Args:
        a: one system.
        b: the other.
        metric: the figure.
        difference: of a minus b.
        low: end of the 95 % interval.
        high: end of the 95 % interval.
        reading: ``better``, ``worse``, ``not shown`` or ``not judged``; None in verdicts of older releases.
    """

    a: str
    b: str
    metric: str
    difference: float
    low: float
    high: float
    reading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionsWon:
    """The test questions that one of two systems tags better, by F1 of the question.

    Args:
        a: one system.
        b: the other.
        won: questions that ``a`` tags better.
        lost: questions that ``b`` tags better.
        unchanged: questions that both tag equally well.
        p_value: of McNemar's exact test, two-sided.
    """

    a: str
    b: str
    won: int
    lost: int
    unchanged: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRows:
    """The validation rows that the tagger was fitted on.

    Args:
        rows: how many there are.
        failed: how many of them have no answer.
        refused: how many of these the server refuses for good.
    """

    rows: int
    failed: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncompleteSystem:
    """A system with too many rows without an answer for a verdict.

    Args:
        system: which one.
        part: ``testing`` or ``validation``.
        rows: of the part.
        failed: rows without an answer.
        refused: of these, the rows that the server refuses for good.
    """

    system: str
    part: str
    rows: int
    failed: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformScores:
    """What the platform's Evaluator found.

    Args:
        job: the evaluation job.
        rows: rows that it was asked to score.
        scored: rows that it scored, if it reports them.
        scores: by name.
    """

    job: str
    rows: int
    scored: int | None = None
    scores: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What the training of the language model took.

    Args:
        seconds: from the submission of the job to its end; None if unknown.
        tokens: of all rows, each as often as it was seen; None if unknown.
        price: of these seconds; None without a time, or a price per hour in the recipe.
        currency: of the price.
    """

    seconds: float | None = None
    tokens: int | None = None
    price: float | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelGain:
    """Whether the language model paid for itself: the tagger against the best system without one.

    Args:
        rival: the best system without a language model, chosen on the test rows.
        rivals: how many systems it was chosen from.
        metric: the figure that is compared.
        difference: of the tagger minus the rival.
        low: end of its 95 % interval.
        high: end of its 95 % interval.
        reading: ``better``, ``worse``, ``not shown`` or ``not judged``.
        training: what the training took, if known.
        sentence: all of this in words.
        seconds_per_point: of training for each point of F1 (.01) that was gained; None without a gain that is
            shown, or if the time is unknown.
        price_per_point: the same in money; None without a price per hour, too.
    """

    rival: str
    rivals: int
    metric: str
    difference: float
    low: float
    high: float
    reading: str
    training: TrainingCost | None = None
    sentence: str
    seconds_per_point: float | None = None
    price_per_point: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedGate:
    """What came of a gate.

    Args:
        gate: its bound, in words.
        found: the value, in words.
        passed: whether the value is within the bound.
    """

    gate: str
    found: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The verdict: all systems on the same test rows.

    Args:
        schema_version: of the file.
        test_rows: how many there are.
        systems: the figures by system.
        validation: the rows that the tagger was fitted on, if known.
        incomplete: systems without a verdict.
        differences: of every two systems.
        questions: of every two systems; none in verdicts of older releases.
        per_tag: the scores of each tag by system.
        confusions: the tags that are most often mistaken for another one, by system; as above.
        platform: what the platform's Evaluator found, if it was asked.
        gates: what came of the recipe's gates.
        embeddings: the retriever's encoder, or why it has none; None in verdicts of older releases.
        language_model: whether it paid for itself; None in verdicts of older releases.
        calibration: how far the probabilities of a system can be trusted, by system; those without
            probabilities are absent, and all are in verdicts of older releases.
        coverage: what abstaining gains, by system; absent as above.
    """

    schema_version: int = 1
    test_rows: int
    systems: dict[str, SystemFigures]
    validation: ValidationRows | None = None
    incomplete: tuple[IncompleteSystem, ...] = ()
    differences: tuple[Difference, ...] = ()
    questions: tuple[QuestionsWon, ...] = ()
    per_tag: dict[str, tuple[TagScore, ...]] = field(default_factory=dict)
    confusions: dict[str, tuple[TagConfusion, ...]] = field(default_factory=dict)
    platform: PlatformScores | None = None
    gates: tuple[JudgedGate, ...] = ()
    embeddings: str | None = None
    language_model: LanguageModelGain | None = None
    calibration: dict[str, Calibration] = field(default_factory=dict)
    coverage: dict[str, tuple[CoveragePoint, ...]] = field(default_factory=dict)

    @property
    def ranked(self) -> list[tuple[str, SystemFigures]]:
        """The systems, the best first."""
        return sorted(self.systems.items(), key=lambda item: -item[1].micro_f1)

    def _repr_html_(self) -> str:
        """The systems with their figures, as a notebook shows them."""
        rows = []
        for name, figures in self.ranked:
            low, high = figures.intervals["micro_f1"]
            others = [f"{each:.3f}" for each in (figures.macro_f1, figures.samples_f1)]
            rows.append([name, f"{figures.micro_f1:.3f}", f"{low:.3f}-{high:.3f}", *others])
        shown = table(("system", "micro F1", "95 %", "macro F1", "samples F1"), rows)
        return card(f"Verdict on {self.test_rows} test rows", {}, below=shown)

    def as_json(self) -> dict[str, object]:
        """As it stands in the file."""
        content = asdict(self)
        content["systems"] = {name: _known(figures) for name, figures in content["systems"].items()}
        content["differences"] = [_known(row) for row in content["differences"]]
        return content


def read_metrics(folder: Path) -> Metrics:
    """The verdict of a run.

    Raises:
        ConfigurationError: the run has none yet.
        DataError: the file is damaged.
    """
    found = read_document(Metrics, folder, FILE)
    if not found.systems:
        raise DataError("metrics.json has no systems", path=folder / FILE, hint=REBUILD)
    return found


def find_metrics(folder: Path) -> Metrics | None:
    """The verdict of a run, or None if it has none yet.

    Raises:
        DataError: the file is damaged.
    """
    return read_metrics(folder) if (folder / FILE).is_file() else None


def _known(record: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in record.items() if value is not None}
