"""The report of a run: one HTML file that opens without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lawtags_client.curation.write.card import card_section
from lawtags_client.errors import ConfigurationError, DataError, MissingExtraError
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.verdict import SYSTEMS, lost_in_words, reading, sentences
from lawtags_client.tagging.question import read_questions
from lawtags_client.terminal import escape_controls
from lawtags_client.version import __version__

EXAMPLES = 12
SHOWN_TAGS = 40

_TESTING = "curated/questions/testing.jsonl"
_SHOWN_SYSTEMS = ("tagger", "tuned", "base")
_NEEDED = (_TESTING, *(f"predictions-{system}.jsonl" for system in _SHOWN_SYSTEMS))


def render_report(folder: Path, *, licenses: Mapping[str, int], attribution: str) -> str:
    """Make the page from what the run's stages left in its folder.

    Args:
        folder: the run's folder.
        licenses: licences of the training rows.
        attribution: whom to name for the data.

    Raises:
        ConfigurationError: the run has not come far enough for a report.
        MissingExtraError: jinja2 or matplotlib is absent.
    """
    from lawtags_client.runs import charts

    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("jinja2", "report", "the report") from None
    for name in _NEEDED:
        _path(folder, name)
    metrics = _read(folder, "metrics.json")
    training = _read(folder, "customization.json")
    # Everything that comes from data is escaped; only our own charts and the data card are markup.
    environment = Environment(
        loader=PackageLoader("lawtags_client.runs"),
        autoescape=True,
        undefined=StrictUndefined,
        # A page that is looked at in a terminal must not steer it.
        finalize=lambda value: escape_controls(value, lines=True) if type(value) is str else value,
        trim_blocks=True,
    )
    return environment.get_template("report.html").render(
        name=folder.name,
        version=__version__,
        plan=_read(folder, "plan.json"),
        training=training,
        metrics=metrics,
        systems=sorted(metrics["systems"].items(), key=lambda item: -item[1]["micro_f1"]),
        titles=SYSTEMS,
        lost=lost_in_words(metrics),
        sentences=sentences(metrics),
        reading=reading,
        data=card_section(_read(folder, "curated/curation.json")),
        tags=metrics["per_tag"]["tagger"][:SHOWN_TAGS],
        more_tags=max(0, len(metrics["per_tag"]["tagger"]) - SHOWN_TAGS),
        examples=_examples(folder),
        licenses=licenses,
        attribution=attribution,
        charts={
            "loss": charts.loss_curves(training["metrics"]),
            "systems": charts.systems(metrics["systems"]),
        },
    )


def _examples(folder: Path) -> list[dict[str, Any]]:
    questions = read_questions(folder / _TESTING)[:EXAMPLES]
    given = {
        system: list(read_rows(folder / f"predictions-{system}.jsonl"))[:EXAMPLES]
        for system in _SHOWN_SYSTEMS
    }
    return [
        {
            "title": question.title,
            "body": (question.body or "")[:280],
            "truth": question.tags,
            "scores": list(given["tagger"][number]["scores"].items())[:5],
            **{system: rows[number]["tags"] for system, rows in given.items()},
        }
        for number, question in enumerate(questions)
    ]


def _read(folder: Path, name: str) -> Any:
    path = _path(folder, name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        hint = "Run the recipe again to rebuild it."
        raise DataError(f"not JSON: {problem}", path=path, hint=hint) from None


def _path(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise ConfigurationError(
            f"run {folder.name!r} has no {name} yet",
            hint="Finish the run first: lawtags run RECIPE",
        )
    return folder / name
