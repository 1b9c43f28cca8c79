"""The report of a run: one HTML file that opens without a network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.curation.write.card import card_section
from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_text
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.gates import gates_of
from lawtags_client.runs.language_model import language_model_in_words
from lawtags_client.runs.learning_curve import LearningCurve, find_learning_curve
from lawtags_client.runs.lineage import Lineage
from lawtags_client.runs.metrics import Difference, Metrics, QuestionsWon, read_metrics
from lawtags_client.runs.model_card import attribution, data_licenses
from lawtags_client.runs.naming import run_of_repeat
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.page_template import page_template
from lawtags_client.runs.probabilities import find_probabilities
from lawtags_client.runs.quantities import in_words
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.repeats import RepeatedVerdict, find_repeats, one_split_in_words
from lawtags_client.runs.report_facts import RunFigures
from lawtags_client.runs.report_questions import ReportQuestion, TaggedQuestions, WonAndLost, pairs_to_read
from lawtags_client.runs.responsive_tables import with_labels
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.threshold_curve import ThresholdPoint, threshold_curve
from lawtags_client.runs.trust import calibration_in_words, calibration_reading, coverage_to_choose_from
from lawtags_client.runs.verdict import (
    MAIN_PAIRS,
    SYSTEMS,
    embeddings_in_words,
    lost_in_words,
    reading_in_words,
    sentences,
)
from lawtags_client.tagging.metrics import TagScore
from lawtags_client.version import __version__

SHOWN_SYSTEMS = ("tagger", "tuned", "base")
"""The systems whose tags are shown for single questions, the first one in front."""
SHOWN_TAGS = 40

_WIDE = 0.5
SHOWN_CONFUSIONS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class TagTable:
    """The tags that a report shows for one system.

    Attributes:
        system: which one.
        tags: the most frequent ones.
        more: tags that are not shown.
        total: tags that are in the truth or were given.
        unsure: of these, tags with too few test rows to be judged.
    """

    system: str
    tags: Sequence[TagScore]
    more: int
    total: int
    unsure: int

    @classmethod
    def of(cls, system: str, tags: Sequence[TagScore]) -> TagTable:
        """The table of a system.

        Args:
            system: which one.
            tags: its scores, most frequent first.
        """
        return cls(
            system=system,
            tags=tags[:SHOWN_TAGS],
            more=max(0, len(tags) - SHOWN_TAGS),
            total=len(tags),
            unsure=sum(unsure(tag) for tag in tags),
        )


def unsure(tag: TagScore) -> bool:
    """Whether a tag has too few test rows: the 95 % interval of its F1 is wider than .5."""
    return tag.f1_interval is not None and tag.f1_interval[1] - tag.f1_interval[0] > _WIDE


def _share(value: float, total: int, interval: tuple[float, float] | None) -> str:
    """A share of some rows with its interval, which verdicts of older releases lack."""
    if not total:
        return "-"
    if interval is None:
        return f"{value:.2f}"
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """What a report shows of a run.

    Attributes:
        name: of the run.
        plan: of the job.
        training: the finished job with its metric series.
        metrics: the verdict.
        repeats: the verdict over repeated splits, if there is one.
        curation: content of ``curation.json``.
        worst: the test questions that the tagger tags worst.
        best: the test questions that the tagger tags best.
        pairs: questions won and lost.
        figures: date, duration and cost.
        lineage: where the model comes from.
        thresholds: scores of the tagger at each threshold; empty without probabilities.
        curve: the learning curve, if one was measured.
        licenses: licenses of the training rows, with the number of rows.
        attribution: credit for the data.
    """

    name: str
    plan: JobPlan
    training: TrainingRecord
    metrics: Metrics
    repeats: RepeatedVerdict | None
    curation: Mapping[str, object]
    worst: Sequence[ReportQuestion]
    best: Sequence[ReportQuestion]
    pairs: Sequence[WonAndLost]
    figures: RunFigures
    lineage: Lineage
    thresholds: Sequence[ThresholdPoint]
    curve: LearningCurve | None
    licenses: Mapping[str, int]
    attribution: str

    @classmethod
    def read(cls, folder: Path, *, licenses: Mapping[str, int], attribution: str) -> ReportData:
        """Read what the run's stages left in its folder.

        Raises:
            ConfigurationError: the run has not come far enough for a report.
            DataError: a file is damaged.
        """
        metrics = read_metrics(folder)
        counted = pairs_to_read(metrics)
        systems = dict.fromkeys((*SHOWN_SYSTEMS, *(name for each in counted for name in (each.a, each.b))))
        questions = TaggedQuestions.read(folder, list(systems))
        worst, best = questions.extremes(SHOWN_SYSTEMS)
        return cls(
            name=folder.name,
            plan=read_document(JobPlan, folder, "plan.json"),
            training=read_document(TrainingRecord, folder, "customization.json"),
            metrics=metrics,
            repeats=find_repeats(folder),
            curation=read_document(dict[str, object], folder, "curated/curation.json"),
            worst=worst,
            best=best,
            pairs=[questions.won_and_lost(each) for each in counted],
            figures=RunFigures.read(folder, metrics),
            lineage=Lineage.read(folder),
            curve=find_learning_curve(folder),
            thresholds=_thresholds(folder, [each.tags for each in questions.questions]),
            licenses=licenses,
            attribution=attribution,
        )


def render_report(folder: Path, *, licenses: Mapping[str, int], attribution: str) -> str:
    """Make the page from what the run's stages left in its folder.

    Args:
        folder: the run's folder.
        licenses: licenses of the training rows, with the number of rows.
        attribution: credit for the data.

    Raises:
        ConfigurationError: the run has not come far enough for a report.
        DataError: a file is damaged.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    from lawtags_client.runs import charts

    template = page_template("report.html")
    data = ReportData.read(folder, licenses=licenses, attribution=attribution)
    metrics = data.metrics
    curves = {system: metrics.coverage[system] for system in SYSTEMS if metrics.coverage.get(system)}
    calibration = {system: metrics.calibration[system] for system in SYSTEMS if system in metrics.calibration}
    first = next(iter(curves), "")
    # Of equally good systems, the simplest one, which comes later.
    leader = max(reversed(metrics.systems), key=lambda name: metrics.systems[name].micro_f1)
    page = template.render(
        report=data,
        version=__version__,
        titles=SYSTEMS,
        lost=lost_in_words(metrics),
        embeddings=embeddings_in_words(metrics),
        language_model=language_model_in_words(metrics),
        sentences=sentences(metrics),
        main_pairs=_main_pairs(metrics),
        gates=gates_of(metrics, data.repeats),
        one_split=one_split_in_words(metrics.test_rows, data.repeats),
        reading=reading_in_words,
        data_card=card_section(data.curation),
        tag_tables=[TagTable.of(name, metrics.per_tag[name]) for name in SYSTEMS if name in metrics.per_tag],
        unsure=unsure,
        share=_share,
        calibration=calibration,
        calibration_words=calibration_in_words(metrics),
        calibration_reading=calibration_reading,
        reliability={system: charts.reliability(found) for system, found in calibration.items()},
        coverage_chart=charts.coverage(curves) if curves else "",
        coverage_system=first,
        coverage_points=coverage_to_choose_from(metrics, first),
        loss_chart=charts.loss_curves(data.training.metrics),
        systems_chart=charts.systems(metrics.systems),
        learning_chart=charts.learning_curve(data.curve) if data.curve else "",
        threshold_chart=charts.thresholds(data.thresholds, None) if data.thresholds else "",
        systems_shown=SHOWN_SYSTEMS,
        leader=leader,
        confusions=metrics.confusions.get(leader, ())[:SHOWN_CONFUSIONS],
        in_words=in_words,
    )
    return with_labels(page)


def rebuild_report(folder: Path) -> Path:
    """Rebuild the report of a run; returns its path.

    Args:
        folder: of the run.

    Raises:
        ConfigurationError: the run has not come far enough for a report.
        DataError: a file is damaged.
    """
    if (whole := run_of_repeat(folder)) is not None:
        hint = f"That of its run includes it: lawtags report {shlex.quote(str(whole))}"
        raise ConfigurationError(f"repeat {folder} has no report of its own", hint=hint)
    recipe = parse_recipe(RunFacts.of_folder(folder).recipe or {})
    questions = folder / "curated" / "questions" / "training.jsonl"
    licenses = data_licenses(recipe, read_rows(questions) if questions.exists() else [])
    page = render_report(folder, licenses=licenses, attribution=attribution(recipe, licenses))
    path = folder / "report.html"
    atomic_write_text(path, page)
    return path


def _main_pairs(metrics: Metrics) -> list[tuple[Difference, QuestionsWon | None]]:
    """The main comparisons by micro F1, each with its questions won, which older verdicts lack."""
    questions = {(each.a, each.b): each for each in metrics.questions}
    rows = {(row.a, row.b): row for row in metrics.differences if row.metric == "micro_f1"}
    return [(rows[pair], questions.get(pair)) for pair in MAIN_PAIRS if pair in rows]


def _thresholds(folder: Path, truth: Sequence[Sequence[str]]) -> list[ThresholdPoint]:
    found = find_probabilities(folder, SHOWN_SYSTEMS[0])
    if found is None or (len(found.rows) and int(found.rows.max()) >= len(truth)):
        return []
    recipe = parse_recipe(RunFacts.of_folder(folder).recipe or {})
    return threshold_curve(found, truth, most=recipe.evaluation.max_tags)
