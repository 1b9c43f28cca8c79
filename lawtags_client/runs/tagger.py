"""The tagger that a run has made, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.options import CurationOptions
from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.ledger import Ledger
from lawtags_client.tagging.storage import load_tagger

# What of a curation concerns the text of a question that is only asked.
_PLAIN = ("columns", "links", "unicode", "sections")

if TYPE_CHECKING:
    from lawtags_client.tagging.mix import Tagger


@dataclass(frozen=True, slots=True)
class RunTagger:
    """What ``lawtags tag`` needs of a run.

    Attributes:
        tagger: the mix.
        model: the served model that it asks.
        profile: the profile that the run was made with, if any.
        options: how the run made its questions plain.
        chat: whether the model was trained on chats, and is asked in one.
    """

    tagger: Tagger
    model: str
    profile: str | None
    options: CurationOptions
    chat: bool


def has_tagger(folder: Path) -> bool:
    """Whether a run has come to its end, so that tagger and model belong together."""
    report = Ledger(folder / "ledger.sqlite").stage("report")
    return report is not None and report.status == "done" and (folder / "tagger" / "tagger.json").is_file()


def load_run_tagger(folder: Path) -> RunTagger:
    """Load the tagger of a run.

    Raises:
        ConfigurationError: the run has not come so far.
        DataError: the tagger's files are damaged.
    """
    ledger = Ledger(folder / "ledger.sqlite")
    predicted = ledger.stage("predict")
    model = predicted.output.get("model") if predicted and predicted.status == "done" else None
    if model is None or not (folder / "tagger" / "tagger.json").is_file():
        raise ConfigurationError(
            f"run {folder.name!r} has no tagger yet", hint="Carry it to its end first: lawtags run RECIPE"
        )
    curation = (ledger.fact("recipe") or {}).get("curation", {})
    plain = {name: curation[name] for name in _PLAIN if name in curation}
    tagger = load_tagger(folder / "tagger")
    return RunTagger(
        tagger,
        # The stage's own word: the file of the endpoint may be of a newer training already.
        model=model,
        profile=ledger.fact("profile"),
        options=CurationOptions.from_dict(plain),
        chat=curation.get("format") == "messages",
    )
