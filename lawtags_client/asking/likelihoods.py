"""The probability with which a model wrote each of its tags."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import CompletionChoice, CompletionLogprobs

__all__ = ["tag_likelihoods"]

# How tokenizers write the blank before a word, where a server gives tokens as the tokenizer knows them.
_MARKS = str.maketrans({"\u0120": " ", "\u2581": " ", "\u010a": "\n"})
# A tag of an answer, whichever way it is written: plain, as a list, as JSON.
# Two patterns, so that neither can take more than one pass over a long answer.
_PIECE = re.compile(r"[^,;\n\"'`\[\]{}:]+")
_BULLET = re.compile(r"\s*(?:[-*•]\s+|\(?\d{1,2}[.)]\s+)?")


def tag_likelihoods(
    choice: CompletionChoice, tags: Sequence[str], vocabulary: Vocabulary | None
) -> Mapping[str, float]:
    """The probability of each tag's tokens, after all that stood before them.

    Args:
        choice: the answer, with the log-probabilities of its tokens.
        tags: what was read in it.
        vocabulary: with which it was read.

    Returns:
        nothing, where the answer has no log-probabilities, or none that fit its text.
    """
    spans = _spans(choice.text, choice.logprobs)
    if not spans:
        return {}
    found: dict[str, float] = {}
    for piece in _PIECE.finditer(choice.text):
        bullet = _BULLET.match(choice.text, piece.start(), piece.end())
        begin = bullet.end() if bullet else piece.start()
        read = parse_tags(choice.text[begin : piece.end()], vocabulary, 1).tags
        if read and read[0] in tags and read[0] not in found:
            found[read[0]] = _likelihood(spans, begin, piece.end())
    whole = _likelihood(spans, 0, len(choice.text))
    return {tag: found.get(tag, whole) for tag in tags}


def _spans(text: str, logprobs: CompletionLogprobs | None) -> list[tuple[int, int, float]]:
    """Where each token stands in a text, and its log-probability."""
    if logprobs is None or len(logprobs.tokens) != len(logprobs.token_logprobs):
        return []
    tokens = logprobs.tokens
    if not _fits(tokens, text):
        tokens = [token.translate(_MARKS) for token in tokens]
        if not _fits(tokens, text):
            return []
    places = pairwise(accumulate(map(len, tokens), initial=0))
    return [
        (begin, end, value)
        for (begin, end), value in zip(places, logprobs.token_logprobs, strict=True)
        if value is not None and begin < len(text)
    ]


def _fits(tokens: Sequence[str], text: str) -> bool:
    # The token that ended the answer may be told, too.
    return bool(text) and "".join(tokens).startswith(text)


def _likelihood(spans: Sequence[tuple[int, int, float]], begin: int, end: int) -> float:
    total = sum(value for first, last, value in spans if first < end and last > begin)
    return math.exp(min(0.0, total))
