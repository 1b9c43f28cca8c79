"""Training rows in the Customizer's form, made by the same function that makes prompts at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lawtags_client.curation.options import CurationOptions
from lawtags_client.tagging.prompt import PromptBuilder, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


class RowMaker:
    """Makes rows and counts how many prompts had to be cut.

    Args:
        options: style and format of the rows.
        vocabulary: the tags of the training rows.
        count_tokens: the length of a text in tokens of the model; an estimate if None.
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
        self._rows = self._cut = self._over = self._longest = self._tokens = 0

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
        self._rows += 1
        self._cut += prompt.cut
        self._over += prompt.over_limit
        self._tokens += prompt.tokens
        self._longest = max(self._longest, prompt.tokens)
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
        return {
            "rows": self._rows,
            "max_tokens": self._options.style.max_tokens,
            "tokens_are_estimates": self._estimated,
            "cut": self._cut,
            "cut_share": round(self._cut / self._rows, 4) if self._rows else 0.0,
            "over_limit": self._over,
            "longest_tokens": self._longest,
            "mean_tokens": round(self._tokens / self._rows, 1) if self._rows else 0.0,
        }
