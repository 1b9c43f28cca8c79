"""Tags of one question, and what scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lawtags_client.errors import LawtagsError
from lawtags_client.tagging.prompt import Prompt
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

__all__ = ["TagScorer", "Tagged", "failure"]


class TagScorer(Protocol):
    """What mixes a model's log-probabilities with a retriever; see ``lawtags_client.tagging``."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def prompt(self, question: Question, /) -> Prompt: ...

    def scores(self, questions: Sequence[Question], lm: Sequence[Mapping[str, float]] | None, /) -> Any: ...

    def decide(self, row_scores: Any, /) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one question.

    Args:
        row: its place, from zero.
        id: its id.
        tags: best first; empty if no tag is likely enough.
        scores: tag to probability: a tagger's for its ten best tags, or that with which the model wrote the
            tag; empty where the server gives no log-probabilities.
        error: why there are no tags.
        held: whether the server constrained the answer to the vocabulary; None if that is not known, or no
            constraint was requested. A tagger returns only its own tags.
        abstained: whether the tagger found no tag likely enough for an answer.
    """

    row: int
    id: str
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    error: LawtagsError | None = None
    held: bool | None = None
    abstained: bool = False


def failure(error: LawtagsError | None) -> LawtagsError:
    """Why a question has no answer."""
    return error or LawtagsError("there is neither a result nor an error")
