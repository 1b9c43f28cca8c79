"""Runs side by side as one HTML file that opens without a network."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_text
from lawtags_client.runs.comparison import ComparedFigure, PairedRuns, RunComparison, TaggedRun
from lawtags_client.runs.page_template import page_template
from lawtags_client.runs.report_questions import BODY, SHOWN_PER_SIDE, ReportQuestion
from lawtags_client.runs.responsive_tables import with_labels
from lawtags_client.runs.verdict import SYSTEMS, reading_of
from lawtags_client.tagging.paired import question_f1
from lawtags_client.tagging.paired_tags import PairedTag, pair_tags
from lawtags_client.version import __version__

_SHOWN_TAGS = 25
_SURE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTags:
    """The tags of a run against those of the first one.

    Attributes:
        run: which one.
        shown: those that differ most, by the decisions that only one of them gets right.
        more: that differ and are not shown.
        same: that do not differ at all.
    """

    run: str
    shown: Sequence[PairedTag]
    more: int
    same: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedQuestions:
    """The questions that a run and the first one tag differently.

    Attributes:
        pair: the figures.
        won: the first ones that this run tags better.
        lost: the first ones that the first run tags better.
    """

    pair: PairedRuns
    won: Sequence[ReportQuestion]
    lost: Sequence[ReportQuestion]


def write_comparison(
    found: RunComparison, folders: Sequence[Path], path: Path, system: str | None = None
) -> None:
    """Write the page.

    Args:
        found: the comparison.
        folders: of its runs.
        path: of the file.
        system: whose tags and questions are shown; by default the tagger, or the best one that all have.

    Raises:
        ConfigurationError: the system is not one that all runs have.
        DataError: a file of a run is damaged, or the page cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    page = render_comparison(found, folders, system)
    try:
        atomic_write_text(path, page)
    except OSError as problem:
        raise DataError(
            f"the page cannot be written: {problem.strerror}", path=path, hint="Pass another --html FILE."
        ) from None


def render_comparison(found: RunComparison, folders: Sequence[Path], system: str | None = None) -> str:
    """Make the page.

    Args:
        found: the comparison.
        folders: of the runs; the others are compared with the first one.
        system: whose tags and questions are shown; by default the tagger, or the best one that all have.

    Raises:
        ConfigurationError: the system is not one that all runs have.
        DataError: a file of a run is damaged.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    from lawtags_client.runs import charts

    shown = _shown_system(found, system)
    comparable = [
        TaggedRun.read(folder, shown)
        for folder, same in zip(folders, found.same_test_rows, strict=True)
        if shown and same
    ]
    pairs = [row for row in found.paired if row.system == shown]
    letters = dict(zip(found.runs, _letters(), strict=False))
    differing = [row for row in found.paired if row.won or row.lost]
    page = page_template("comparison.html").render(
        found=found,
        version=__version__,
        titles=SYSTEMS,
        system=shown,
        sentences=[sentence(row, found.runs[0]) for row in pairs],
        figures=_by_system(found.figures),
        reading=reading_of,
        tags=[_tags(run, comparable[0]) for run in comparable[1:]],
        questions=[
            _questions(pair, letters[pair.run], run, comparable[0])
            for pair, run in zip(pairs, comparable[1:], strict=True)
        ],
        others=[name for name, same in zip(found.runs, found.same_test_rows, strict=True) if not same],
        letters=letters,
        differing=differing,
        same=_same(found.paired),
        difference_chart=charts.differences(differing, letters) if differing else "",
        sure=_SURE,
    )
    return with_labels(page)


def sentence(row: PairedRuns, first: str) -> str:
    """What a comparison says, in one sentence."""
    change = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}] micro F1"
    counted = f"{len(row.won)} questions won, {len(row.lost)} lost, {row.unchanged} unchanged"
    told = {
        "better": f"{row.run} is better than {first}",
        "worse": f"{row.run} is worse than {first}",
        "not shown": f"No difference between {row.run} and {first} is shown",
    }[row.reading]
    return f"{told}: {change} of {row.system}; {counted} (McNemar's p {row.p_value:.2g})."


def _shown_system(found: RunComparison, wanted: str | None) -> str | None:
    paired = {row.system for row in found.paired}
    # Those that the first run shares with every comparable one.
    runs = {row.run for row in found.paired}
    shared = [
        name
        for name in dict.fromkeys(row.system for row in found.paired)
        if {row.run for row in found.paired if row.system == name} == runs
    ]
    if wanted is not None and wanted not in shared:
        have = ", ".join(shared) or "none"
        told = (
            "is not in all runs" if wanted in paired else "is in no two of these runs with the same test rows"
        )
        raise ConfigurationError(f"system {wanted!r} {told}", hint=f"Systems of all runs: {have}.")
    if wanted is not None or not shared:
        return wanted
    best = {row.system: row.values[0] or 0.0 for row in found.figures if row.metric == "micro_f1"}
    return "tagger" if "tagger" in shared else max(reversed(shared), key=lambda name: best[name])


def _letters() -> Iterator[str]:
    """A, B, ... Z, AA, AB, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)


def _same(paired: Sequence[PairedRuns]) -> Mapping[str, Sequence[str]]:
    """By run the systems that are as good as those of the first run on every question."""
    found: dict[str, list[str]] = {}
    for row in paired:
        if not row.won and not row.lost:
            found.setdefault(row.run, []).append(row.system)
    return found


def _by_system(figures: Sequence[ComparedFigure]) -> Mapping[str, Mapping[str, ComparedFigure]]:
    """The figures by system and metric, the best system of the first run in front."""
    found: dict[str, dict[str, ComparedFigure]] = {}
    for row in figures:
        found.setdefault(row.system, {})[row.metric] = row
    ranked = sorted(found.items(), key=lambda item: -max(v or 0.0 for v in item[1]["micro_f1"].values))
    return dict(ranked)


def _tags(run: TaggedRun, first: TaggedRun) -> ComparedTags:
    tags = pair_tags([each.tags for each in run.questions], run.tags, first.tags)
    differing = [tag for tag in tags if tag.won or tag.lost]
    differing.sort(key=lambda tag: (tag.p_value, -abs(tag.won - tag.lost), -tag.true, tag.tag))
    return ComparedTags(
        run=run.name,
        shown=differing[:_SHOWN_TAGS],
        more=max(0, len(differing) - _SHOWN_TAGS),
        same=len(tags) - len(differing),
    )


def _questions(pair: PairedRuns, letter: str, run: TaggedRun, first: TaggedRun) -> ComparedQuestions:
    places = {each.id: place for place, each in enumerate(run.questions)}

    def shown(ids: Sequence[str]) -> list[ReportQuestion]:
        return [_question(places[id], letter, run, first) for id in ids[:SHOWN_PER_SIDE]]

    return ComparedQuestions(pair=pair, won=shown(pair.won), lost=shown(pair.lost))


def _question(place: int, letter: str, run: TaggedRun, first: TaggedRun) -> ReportQuestion:
    question = run.questions[place]
    body = question.body or ""
    return ReportQuestion(
        id=question.id,
        title=question.title,
        body=body if len(body) <= BODY else f"{body[:BODY]}…",
        truth=question.tags,
        f1=question_f1(question.tags, run.tags[place]),
        scores=[],
        tags={letter: sorted(run.tags[place]), "A": sorted(first.tags[place])},
    )
