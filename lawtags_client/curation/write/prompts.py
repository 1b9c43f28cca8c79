"""Training rows in the Customizer's format, with the prompts that are used at inference."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lawtags_client.curation.clean.words import words_of
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.records import LengthDistribution, LengthsRecord, PromptSummary
from lawtags_client.json_value import JsonObject
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

# How many of the longest truncated questions are listed.
_NAMED = 5
_BARS = 24


@dataclass
class LengthStatistics:
    """How long prompts, rows and questions are.

    Args:
        rows: number of rows.
        cut: rows whose body was truncated.
        over: rows that are still too long.
        longest: tokens of the longest prompt.
        tokens: of all prompts together.
        row_tokens: rows by the tokens of prompt and answer.
        words: rows by the words of the question, before truncation.
        most_cut: words and id of the longest truncated questions.
    """

    rows: int = 0
    cut: int = 0
    over: int = 0
    longest: int = 0
    tokens: int = 0
    row_tokens: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    most_cut: list[tuple[int, str]] = field(default_factory=list)

    def add(self, prompt: Prompt, answer: int, question: Question) -> None:
        """Count a row.

        Args:
            prompt: its prompt.
            answer: tokens of its answer.
            question: its question.
        """
        words = len(words_of(question.title)) + len(words_of(question.body or ""))
        self.rows += 1
        self.cut += prompt.cut
        self.over += prompt.over_limit
        self.tokens += prompt.tokens
        self.longest = max(self.longest, prompt.tokens)
        self.row_tokens[prompt.tokens + answer] += 1
        self.words[words] += 1
        if prompt.cut:
            self.most_cut = _most([*self.most_cut, (words, question.id)])

    def __add__(self, other: LengthStatistics) -> LengthStatistics:
        return LengthStatistics(
            self.rows + other.rows,
            self.cut + other.cut,
            self.over + other.over,
            max(self.longest, other.longest),
            self.tokens + other.tokens,
            self.row_tokens + other.row_tokens,
            self.words + other.words,
            _most([*self.most_cut, *other.most_cut]),
        )

    def as_dict(self) -> dict[str, object]:
        """The statistics as JSON values."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, values: LengthsRecord) -> LengthStatistics:
        """Read decoded JSON that :meth:`as_dict` produced."""
        return cls(
            values["rows"],
            values["cut"],
            values["over"],
            values["longest"],
            values["tokens"],
            _by_length(values["row_tokens"]),
            _by_length(values["words"]),
            [(words, question) for words, question in values["most_cut"]],
        )

    def summary(self, max_tokens: int, *, estimated: bool, tokenizer: str | None = None) -> PromptSummary:
        """How long the prompts are, and how many were truncated.

        Args:
            max_tokens: the limit for prompts.
            estimated: whether tokens were estimated.
            tokenizer: identity of the tokenizer.
        """
        return {
            "rows": self.rows,
            "max_tokens": max_tokens,
            "tokens_are_estimates": estimated,
            "tokenizer": tokenizer,
            "cut": self.cut,
            "cut_share": round(self.cut / self.rows, 4) if self.rows else 0.0,
            "over_limit": self.over,
            "longest_tokens": self.longest,
            "mean_tokens": round(self.tokens / self.rows, 1) if self.rows else 0.0,
            "row_tokens": _distribution(self.row_tokens),
            "question_words": _distribution(self.words),
            "most_cut": [{"id": name, "words": words} for words, name in self.most_cut],
        }


def _by_length(counts: Mapping[str, int]) -> Counter[int]:
    return Counter({int(length): rows for length, rows in counts.items()})


def _most(named: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(named, key=lambda pair: (-pair[0], pair[1]))[:_NAMED]


def _distribution(counts: Counter[int]) -> LengthDistribution:
    """The distribution of lengths: percentiles, and a histogram with bins of equal width.

    The last bin holds all longer rows, so that a single outlier does not squeeze the others into one bar.
    """
    rows = counts.total()
    if not rows:
        return {}
    ordered = sorted(counts)
    sums = list(itertools.accumulate(counts[length] for length in ordered))

    def percentile(share: float) -> int:
        return ordered[bisect.bisect_left(sums, math.ceil(share * rows))]

    width = max(1, math.ceil((percentile(0.99) + 1) / _BARS))
    bars = [0] * (percentile(0.99) // width + 1)
    for length, found in counts.items():
        bars[min(length // width, len(bars) - 1)] += found
    return {
        "least": ordered[0],
        "half": percentile(0.5),
        "nine_tenths": percentile(0.9),
        "ninety_nine_hundredths": percentile(0.99),
        "most": ordered[-1],
        "mean": round(sum(length * found for length, found in counts.items()) / rows, 1),
        "step": width,
        "rows_by_step": bars,
    }


class RowMaker:
    """Builds rows, and counts truncated prompts.

    Args:
        options: style and format of the rows.
        vocabulary: the tags of the training rows.
        count_tokens: the length of a text in tokens of the model; an estimate if None.
        tokenizer: identity of the tokenizer.

    Attributes:
        lengths: statistics on the rows built so far.
    """

    def __init__(
        self,
        options: CurationOptions,
        vocabulary: Vocabulary,
        count_tokens: Callable[[str], int] | None,
        tokenizer: str | None = None,
    ) -> None:
        self._options = options
        self._vocabulary = vocabulary
        self._count_tokens = count_tokens or estimate_tokens
        self._tokenizer = tokenizer
        self._builder = PromptBuilder(options.style, self._count_tokens)
        self._estimated = count_tokens is None
        self.lengths = LengthStatistics()

    def row(self, question: Question, shortlist: Sequence[str] = ()) -> JsonObject:
        """The row of a question.

        Args:
            question: with its tags.
            shortlist: candidate tags for the prompt, best first.
        """
        prompt = self._builder.build(question.title, question.body, shortlist)
        completion = self._builder.completion(
            question.tags, key=f"{self._options.split.seed}:{question.id}", vocabulary=self._vocabulary
        )
        self.lengths.add(prompt, self._count_tokens(completion), question)
        if self._options.format == "messages":
            return {
                "messages": [
                    {"role": "user", "content": prompt.text},
                    {"role": "assistant", "content": completion},
                ]
            }
        return {"prompt": prompt.text, "completion": completion}

    def summary(self) -> PromptSummary:
        """How long the prompts are, and how many were truncated."""
        return self.lengths.summary(
            self._options.style.max_tokens, estimated=self._estimated, tokenizer=self._tokenizer
        )
