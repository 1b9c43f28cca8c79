"""The report of a run: one HTML file that opens without a network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.write.card import card_section
from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.files import atomic_write_text
from lawtags_client.runs.documents import read_document, require_file
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.gates import gates_of
from lawtags_client.runs.language_model import language_model_in_words
from lawtags_client.runs.metrics import Metrics, read_metrics
from lawtags_client.runs.model_card import attribution, data_licenses
from lawtags_client.runs.naming import run_of_repeat
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.repeats import RepeatedVerdict, find_repeats, one_split_in_words
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.trust import calibration_in_words, calibration_reading, coverage_to_choose_from
from lawtags_client.runs.verdict import (
    SYSTEMS,
    embeddings_in_words,
    lost_in_words,
    reading_in_words,
    sentences,
)
from lawtags_client.tagging.metrics import TagScore
from lawtags_client.tagging.question import read_questions
from lawtags_client.terminal import escape_controls
from lawtags_client.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template

EXAMPLES = 12
SHOWN_TAGS = 40

_WIDE = 0.5
_TESTING = "curated/questions/testing.jsonl"
_SHOWN_SYSTEMS = ("tagger", "tuned", "base")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportExample:
    """A test question with the tags that some systems gave.

    Attributes:
        title: of the question.
        body: its beginning.
        truth: its true tags.
        scores: the tagger's likeliest tags with their probabilities.
        tags: the tags by system.
    """

    title: str
    body: str
    truth: Sequence[str]
    scores: Sequence[tuple[str, float]]
    tags: Mapping[str, Sequence[str]]


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
        examples: some test questions.
        licenses: licenses of the training rows, with the number of rows.
        attribution: credit for the data.
    """

    name: str
    plan: JobPlan
    training: TrainingRecord
    metrics: Metrics
    repeats: RepeatedVerdict | None
    curation: Mapping[str, object]
    examples: Sequence[ReportExample]
    licenses: Mapping[str, int]
    attribution: str

    @classmethod
    def read(cls, folder: Path, *, licenses: Mapping[str, int], attribution: str) -> ReportData:
        """Read what the run's stages left in its folder.

        Raises:
            ConfigurationError: the run has not come far enough for a report.
            DataError: a file is damaged.
        """
        return cls(
            name=folder.name,
            plan=read_document(JobPlan, folder, "plan.json"),
            training=read_document(TrainingRecord, folder, "customization.json"),
            metrics=read_metrics(folder),
            repeats=find_repeats(folder),
            curation=read_document(dict[str, object], folder, "curated/curation.json"),
            examples=_examples(folder),
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

    template = _template()
    data = ReportData.read(folder, licenses=licenses, attribution=attribution)
    metrics = data.metrics
    curves = {system: metrics.coverage[system] for system in SYSTEMS if metrics.coverage.get(system)}
    calibration = {system: metrics.calibration[system] for system in SYSTEMS if system in metrics.calibration}
    first = next(iter(curves), "")
    return template.render(
        report=data,
        version=__version__,
        titles=SYSTEMS,
        lost=lost_in_words(metrics),
        embeddings=embeddings_in_words(metrics),
        language_model=language_model_in_words(metrics),
        sentences=sentences(metrics),
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
    )


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


def _template() -> Template:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("jinja2", "report", "the report") from None
    # Everything that comes from data is escaped; only our own charts and the data card are markup.
    environment = Environment(
        loader=PackageLoader("lawtags_client.runs"),
        autoescape=True,
        undefined=StrictUndefined,
        # A page that is shown in a terminal must not steer it.
        finalize=lambda value: escape_controls(value, lines=True) if type(value) is str else value,
        trim_blocks=True,
    )
    return environment.get_template("report.html")


def _examples(folder: Path) -> list[ReportExample]:
    testing = folder / _TESTING
    for path in (testing, *(predictions_path(folder, system) for system in _SHOWN_SYSTEMS)):
        require_file(folder, path)
    questions = read_questions(testing)[:EXAMPLES]
    given = {system: read_prediction_rows(folder, system)[:EXAMPLES] for system in _SHOWN_SYSTEMS}
    return [
        ReportExample(
            title=question.title,
            body=(question.body or "")[:280],
            truth=question.tags,
            scores=list(given["tagger"][number].scores.items())[:5],
            tags={system: rows[number].tags for system, rows in given.items()},
        )
        for number, question in enumerate(questions)
    ]
