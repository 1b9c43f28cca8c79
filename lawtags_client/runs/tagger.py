"""The tagger that a run has made, ready to answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.asking.preparation import question_texts
from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.encoder.choice import Encoder, choose_encoder
from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.naming import resume_command, run_of_repeat
from lawtags_client.tagging.storage import load_tagger
from lawtags_client.tagging.tagger_files import JSON_NAME, read_document

logger = logging.getLogger(__name__)

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
        texts: how the run made its questions ready.
        chat: whether the model was trained on chats, and is asked in one.
    """

    tagger: Tagger
    model: str
    profile: str | None
    texts: QuestionTexts
    chat: bool


def has_tagger(folder: Path) -> bool:
    """Whether a run has come to its end, so that tagger and model belong together."""
    report = Ledger(folder / "ledger.sqlite").finished("report")
    return report is not None and (folder / "tagger" / "tagger.json").is_file()


def asks_model(folder: Path) -> bool:
    """Whether the tagger of a finished run sends requests to its language model.

    Raises:
        DataError: the tagger's description is missing or damaged.
    """
    return read_document(folder / "tagger" / JSON_NAME)["mix"] is not None


def load_run_tagger(folder: Path, *, unmasked: bool = False) -> RunTagger:
    """Load the tagger of a run.

    Args:
        folder: of the run.
        unmasked: leave personal data in questions, though the model was trained without.

    Raises:
        ConfigurationError: the run has not come so far, the key of its hashes of personal data is missing, or
            the encoder is another one than the tagger was fitted with.
        DataError: the tagger's files are damaged.
        MissingExtraError: the tagger needs an encoder that is not installed.
    """
    ledger = Ledger(folder / "ledger.sqlite")
    predicted = ledger.finished("predict")
    model = predicted.output.get("model") if predicted else None
    if not isinstance(model, str) or not (folder / "tagger" / "tagger.json").is_file():
        if (whole := run_of_repeat(folder)) is not None:
            raise ConfigurationError(f"repeat {folder} has no tagger", hint=f"Use that of its run: {whole}")
        raise ConfigurationError(
            f"run {folder.name!r} has no tagger yet", hint=f"Finish it first: {resume_command(folder)}"
        )
    facts = RunFacts.read(ledger)
    tagger = load_tagger(folder / "tagger", embedder=_named_encoder(facts))
    if tagger.asking is not None:
        texts, chat = question_texts(tagger.asking, unmasked=unmasked), tagger.asking.chat
    else:
        logger.warning(
            "The tagger of run %s comes from an older release and does not record how questions were "
            "masked and counted: they are asked unmasked, with estimated lengths. "
            "Run the recipe again to fix that.",
            folder.name,
        )
        curation = facts.curation
        plain = {name: curation[name] for name in _PLAIN if name in curation}
        texts, chat = QuestionTexts.from_dict(plain), curation.get("format") == "messages"
    return RunTagger(
        tagger,
        # From the stage itself: the file of the endpoint may belong to a newer training.
        model=model,
        profile=facts.profile,
        texts=texts,
        chat=chat,
    )


def _named_encoder(facts: RunFacts) -> Encoder | None:
    """The encoder of the folder that the recipe names; None where it names none."""
    options = (facts.recipe or {}).get("retriever")
    setting = options.get("encoder") if isinstance(options, Mapping) else None
    if not isinstance(setting, str) or setting in ("auto", "none"):
        return None
    return choose_encoder(setting).encoder
