"""The one way in which a question is put to a tuned model: first its text, then its prompt.

Curation makes the prompts of the training, and a run asks with those. Whoever tags later asks through the
tagger, which carries what decides a prompt: how texts are made plain and masked, how long a text is in
tokens, and how a prompt looks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.question import Question

if TYPE_CHECKING:
    from lawtags_client.curation.questions import QuestionTexts


def recorded_asking(curated: Path, tokenizer: Path | None) -> PromptSettings | None:
    """How a curation put its questions.

    Args:
        curated: the folder of curated rows.
        tokenizer: the ``tokenizer.json`` that counted tokens, if one did.

    Returns:
        None, where the curation is of a release that did not record it.
    """
    try:
        report = json.loads((curated / "curation.json").read_bytes())
    except FileNotFoundError:
        return None
    if report.get("asking") is None:
        return None
    content = tokenizer.read_bytes() if tokenizer is not None else None
    return PromptSettings(report["asking"], content, chat=report["options"]["format"] == "messages")


def question_texts(asking: PromptSettings, *, unmasked: bool = False) -> QuestionTexts:
    """How the texts of questions are made ready for a tagger.

    Args:
        asking: the tagger's.
        unmasked: leave personal data in, though the model was trained without.

    Raises:
        ConfigurationError: what was recorded makes no sense, or the key of its hashes is missing here.
    """
    from lawtags_client.curation.questions import QuestionTexts

    return QuestionTexts.from_dict({**asking.text, "pii": None} if unmasked else asking.text)


def prepared(
    questions: Sequence[Question], asking: PromptSettings | None, *, unmasked: bool = False
) -> list[Question]:
    """Questions with texts as the model was trained with; those that have such texts pass as they are.

    Args:
        questions: any.
        asking: the tagger's; None leaves the texts alone.
        unmasked: leave personal data in, though the model was trained without.

    Raises:
        MissingExtraError: a package that makes texts ready is not installed.
        ConfigurationError: see :func:`question_texts`.
    """
    raw = [question for question in questions if not question.prepared]
    if asking is None or not raw:
        return list(questions)
    ready = iter(question_texts(asking, unmasked=unmasked).prepare_questions(raw))
    return [question if question.prepared else next(ready) for question in questions]
