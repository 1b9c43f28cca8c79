"""Training rows in the Customizer's form, made by the same function that makes prompts at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lawtags_client.curation.options import CurationOptions
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


@dataclass
class Lengths:
    """How long prompts are.

    Args:
        rows: how many there are.
        cut: those of which a body was cut.
        over: those that are too long all the same.
        longest: tokens of the longest.
        tokens: of all together.
    """

    rows: int = 0
    cut: int = 0
    over: int = 0
    longest: int = 0
    tokens: int = 0

    def add(self, prompt: Prompt) -> None:
        """Count a prompt."""
        self.rows += 1
        self.cut += prompt.cut
        self.over += prompt.over_limit
        self.tokens += prompt.tokens
        self.longest = max(self.longest, prompt.tokens)

    def __add__(self, other: Lengths) -> Lengths:
        return Lengths(
            self.rows + other.rows,
            self.cut + other.cut,
            self.over + other.over,
            max(self.longest, other.longest),
            self.tokens + other.tokens,
        )

    def summary(self, max_tokens: int, *, estimated: bool) -> dict[str, Any]:
        """How long the prompts are, and how many were cut.

        Args:
            max_tokens: where they were cut.
            estimated: whether no tokenizer counted.
        """
        return {
            "rows": self.rows,
            "max_tokens": max_tokens,
            "tokens_are_estimates": estimated,
            "cut": self.cut,
            "cut_share": round(self.cut / self.rows, 4) if self.rows else 0.0,
            "over_limit": self.over,
            "longest_tokens": self.longest,
            "mean_tokens": round(self.tokens / self.rows, 1) if self.rows else 0.0,
        }


class RowMaker:
    """Makes rows and counts how many prompts had to be cut.

    Args:
        options: style and format of the rows.
        vocabulary: the tags of the training rows.
        count_tokens: the length of a text in tokens of the model; an estimate if None.

    Attributes:
        lengths: of the prompts that were made.
    """

    def __init__(
        self,
        options: CurationOptions,
        vocabulary: Vocabulary,
        count_tokens: Callable[[str], int] | None,
    ) -> None:
        self._options = options
        self._vocabulary = vocabulary
        self._builder = PromptBuilder(options.style, count_tokens or estimate_tokens)
        self._estimated = count_tokens is None
        self.lengths = Lengths()

    def row(self, question: Question, shortlist: Sequence[str] = ()) -> dict[str, Any]:
        """The row of a question.

        Args:
            question: with its tags.
            shortlist: candidate tags for the prompt, best first.
        """
        prompt = self._builder.build(question.title, question.body, shortlist)
        completion = self._builder.completion(
            question.tags, key=f"{self._options.split.seed}:{question.id}", vocabulary=self._vocabulary
        )
        self.lengths.add(prompt)
        if self._options.format == "messages":
            return {
                "messages": [
                    {"role": "user", "content": prompt.text},
                    {"role": "assistant", "content": completion},
                ]
            }
        return {"prompt": prompt.text, "completion": completion}

    def summary(self) -> dict[str, Any]:
        """How long the prompts are, and how many were cut."""
        return self.lengths.summary(self._options.style.max_tokens, estimated=self._estimated)
