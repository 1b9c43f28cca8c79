"""The prompt: one function makes it for training, validation and inference alike.

Its lines, of which only the title and the last always stand::

    <task>
    Title: <title>
    Question: <body>
    Candidate tags: <shortlist>
    Tags:

The answer follows as ``tag-a, tag-b``. Over the token limit only the body is cut.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.vocabulary import Vocabulary

Order = Literal["random", "sorted", "frequency"]

# Where an answer begins. A parser looks for it too, in case a model repeats it.
ANSWER_CUE = "Tags:"

_PIECES = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")


@dataclass(frozen=True)
class PromptStyle:
    """How prompts and answers of one tagger look.

    Args:
        task: a sentence put before the question, or None for none (shorter prompts train faster).
        order: how the tags of a training answer are ordered. In random order the probability of an
            answer's first token is that of any of the row's tags; in another it is that of the
            foremost one.
        shortlist: how many candidate tags of the retriever the prompt names; 0 for none.
        max_tokens: the most tokens that a prompt, without its answer, may have.
        separator: text between the tags of an answer.

    Raises:
        ConfigurationError: a value is out of range.
    """

    task: str | None = None
    order: Order = "random"
    shortlist: int = 0
    max_tokens: int = 256
    separator: str = ", "

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise ConfigurationError(
                f"style.order cannot be {self.order!r}", hint=f"Known: {', '.join(get_args(Order))}."
            )
        if self.shortlist < 0:
            raise ConfigurationError("style.shortlist must be at least 0", hint="0 means none.")
        if self.max_tokens < 1:
            raise ConfigurationError("style.max_tokens must be at least 1", hint="96 is usual.")
        if self.separator.strip() not in (",", ";"):
            raise ConfigurationError(
                f"style.separator cannot be {self.separator!r}", hint="Use a comma or a semicolon."
            )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that ends with ``Tags:``.

    Args:
        text: the prompt.
        tokens: its length by the counter of its builder.
        cut: whether the body was shortened or left out.
        over_limit: whether it is still too long: title, task and shortlist are never cut.
    """

    text: str
    tokens: int
    cut: bool
    over_limit: bool


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of English text where no tokenizer is at hand.

    It counts every digit and sign, and one more token for each seven letters of a word begun. Byte-pair
    vocabularies of 32,000 to 256,000 entries need about that many for forum questions.
    """
    return sum(math.ceil(len(piece) / 7) for piece in _PIECES.findall(text))


def _shuffle_key(key: str, tag: str) -> bytes:
    # Lone surrogates, which JSON can carry, have no UTF-8 form.
    return hashlib.sha256(f"{key}\0{tag}".encode(errors="backslashreplace")).digest()


class PromptBuilder:
    """Makes prompts and answers in one style.

    Args:
        style: how they look.
        count_tokens: the length of a text in tokens of the model; ``estimate_tokens`` if unknown.

    Example:
        >>> builder = PromptBuilder(PromptStyle(), estimate_tokens)
        >>> builder.build("Can pricing be trademarked?").text
        'Title: Can pricing be trademarked?\\nTags:'
    """

    def __init__(self, style: PromptStyle, count_tokens: Callable[[str], int] = estimate_tokens) -> None:
        self.style = style
        self._count_tokens = count_tokens

    def build(self, title: str, body: str | None = None, shortlist: Sequence[str] = ()) -> Prompt:
        """Make the prompt of a question.

        Args:
            title: the title; never cut.
            body: plain text, or None.
            shortlist: candidate tags, best first; never cut, but no more than the style asks for.
        """
        words = (body or "").split()
        candidates = tuple(shortlist[: self.style.shortlist])

        def render(kept: int) -> tuple[str, int]:
            text = self._render(title, words[:kept], candidates)
            return text, self._count_tokens(text)

        limit = self.style.max_tokens
        text, tokens = render(len(words))
        if tokens <= limit or not words:
            return Prompt(text, tokens, cut=False, over_limit=tokens > limit)
        fits, too_many = 0, len(words)
        text, tokens = render(0)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            longer, count = render(middle)
            if count <= limit:
                fits, text, tokens = middle, longer, count
            else:
                too_many = middle
        return Prompt(text, tokens, cut=True, over_limit=tokens > limit)

    def completion(self, tags: Iterable[str], *, key: str, vocabulary: Vocabulary | None = None) -> str:
        """Write the answer for a row of training data.

        Args:
            tags: the true tags.
            key: decides the random order; the same key gives the same order everywhere.
            vocabulary: decides the order by frequency; tags it does not know come last.

        Raises:
            ConfigurationError: the order is by frequency and there is no vocabulary.
        """
        unique = sorted(set(tags))
        if self.style.order == "random":
            unique.sort(key=lambda tag: _shuffle_key(key, tag))
        elif self.style.order == "frequency":
            if vocabulary is None:
                raise ConfigurationError(
                    "tags cannot be ordered by frequency without a vocabulary",
                    hint="Give the vocabulary of the training rows, or choose another order.",
                )
            unique.sort(key=lambda tag: vocabulary.index(tag) if tag in vocabulary else len(vocabulary))
        return self.style.separator.join(unique)

    def _render(self, title: str, words: Sequence[str], shortlist: Sequence[str]) -> str:
        lines = [self.style.task] if self.style.task else []
        # One line each: a line break inside a title would look like the end of the field.
        lines.append(f"Title: {' '.join(title.split())}")
        if words:
            lines.append(f"Question: {' '.join(words)}")
        if shortlist:
            lines.append(f"Candidate tags: {self.style.separator.join(shortlist)}")
        lines.append(ANSWER_CUE)
        return "\n".join(lines)
