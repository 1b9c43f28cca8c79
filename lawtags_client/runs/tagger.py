"""The tagger that a run has made, ready to answer."""

from __future__ import annotations

import json
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
    """

    tagger: Tagger
    model: str
    profile: str | None
    options: CurationOptions


def has_tagger(folder: Path) -> bool:
    """Whether a run has come far enough to answer."""
    return (folder / "tagger" / "tagger.json").is_file() and (folder / "endpoint.json").is_file()


def load_run_tagger(folder: Path) -> RunTagger:
    """Load the tagger of a run.

    Raises:
        ConfigurationError: the run has not come so far.
        DataError: the tagger's files are damaged.
    """
    if not has_tagger(folder):
        raise ConfigurationError(
            f"run {folder.name!r} has no tagger yet", hint="Carry it to its end first: lawtags run RECIPE"
        )
    model = json.loads((folder / "endpoint.json").read_text())["model"]
    ledger = Ledger(folder / "ledger.sqlite")
    curation = (ledger.fact("recipe") or {}).get("curation", {})
    plain = {name: curation[name] for name in _PLAIN if name in curation}
    tagger = load_tagger(folder / "tagger")
    return RunTagger(tagger, model, ledger.fact("profile"), CurationOptions.from_dict(plain))
