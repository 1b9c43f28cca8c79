"""Constrains answers to choices, or with llguidance to a regex, a JSON schema or a grammar."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.engines.generation.choices import ChoiceMatcher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lawtags_stack.engines.generation.request import Constraint
    from lawtags_stack.engines.generation.token_text import TokenText

_KEPT = 32
# Without free whitespace, a small model cannot loop on blanks, and more tokens are forced.
_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class GrammarMatcher(Protocol):
    """The part of llguidance's ``LLMatcher`` that the engine uses."""

    def deep_copy(self) -> Self:
        """Copy the matcher and its position."""
        ...

    def compute_bitmask(self) -> bytes:
        """Which tokens are allowed next, one bit per token."""
        ...

    def consume_token(self, token: int) -> bool:
        """Consume a token; False if it is not allowed."""
        ...

    def compute_ff_tokens(self) -> list[int]:
        """The next tokens for which there is only one choice."""
        ...

    def is_error(self) -> bool:
        """Whether the grammar is unusable."""
        ...

    def get_error(self) -> str:
        """Why the grammar is unusable."""
        ...

    def is_stopped(self) -> bool:
        """Whether nothing can be added."""
        ...


class GrammarSource(Protocol):
    """The static functions of ``LLMatcher`` that create grammars."""

    def grammar_from_regex(self, regex: str, /) -> str:
        """Create a grammar from a regular expression."""
        ...

    def grammar_from_json_schema(self, schema: str, /, *, overrides: Mapping[str, object]) -> str:
        """Create a grammar from a JSON schema."""
        ...

    def grammar_from_lark(self, lark: str, /) -> str:
        """Create a grammar from a Lark grammar."""
        ...


Matcher: TypeAlias = ChoiceMatcher | GrammarMatcher


class Constraints:
    """Compiles constraints for one tokenizer, and caches the most recent ones.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocabulary_size: number of logits of the model, including padding.
        end_tokens: the tokens that end an answer.
        text: the texts of the tokens.
    """

    def __init__(
        self, tokenizer: FastTokenizer, vocabulary_size: int, end_tokens: list[int], text: TokenText
    ) -> None:
        self._tokenizer = tokenizer
        self._text = text
        self._size = vocabulary_size
        self._end_tokens = end_tokens
        self._wrapped: object = None
        self._compiled: OrderedDict[Constraint, Matcher] = OrderedDict()

    def matcher(self, constraint: Constraint) -> Matcher:
        """Return a matcher at the start of an answer.

        Raises:
            ConfigurationError: the regex, schema or grammar cannot be compiled.
            MissingExtraError: llguidance is not installed.
        """
        compiled = self._compiled.pop(constraint, None) or self._compile(constraint)
        self._compiled[constraint] = compiled
        while len(self._compiled) > _KEPT:
            self._compiled.popitem(last=False)
        return compiled.deep_copy()

    def _choices(self, constraint: Constraint) -> ChoiceMatcher | None:
        """Return a matcher over the tokens of the choices; None if the tokenizer adds something to a text."""
        words = json.loads(constraint.source)
        paths = self._tokenizer(words, add_special_tokens=False)["input_ids"]
        spelled = (b"".join(map(self._text.bytes_of, path)) for path in paths)
        faithful = all(raw == word.encode("utf-8") for raw, word in zip(spelled, words, strict=True))
        return ChoiceMatcher(paths, self._end_tokens) if faithful else None

    def _compile(self, constraint: Constraint) -> Matcher:
        if constraint.kind == "choice" and (choices := self._choices(constraint)) is not None:
            return choices
        try:
            import llguidance
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise MissingExtraError("llguidance", "local", "constrained answers") from error
        if self._wrapped is None:
            self._wrapped = from_tokenizer(
                self._tokenizer, n_vocab=self._size, eos_token=self._end_tokens or None
            )
        grammar = _grammar(llguidance.LLMatcher, constraint)
        matcher: GrammarMatcher = llguidance.LLMatcher(self._wrapped, grammar, log_level=0)
        if matcher.is_error():
            raise ConfigurationError(
                f"the {constraint.kind} constraint cannot be used: {matcher.get_error().splitlines()[0]}",
                hint="Simplify it, or check its syntax.",
            )
        return matcher

    def allowed(self, matcher: Matcher) -> NDArray[np.bool_]:
        """Which tokens are allowed next, one flag per token."""
        import numpy as np

        if isinstance(matcher, ChoiceMatcher):
            return matcher.mask(self._size)
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[: self._size].astype(bool)


def _grammar(matcher: GrammarSource, constraint: Constraint) -> str:
    try:
        if constraint.kind == "regex":
            return str(matcher.grammar_from_regex(constraint.source))
        if constraint.kind == "json":
            return str(matcher.grammar_from_json_schema(constraint.source, overrides=_JSON_STYLE))
        if constraint.kind == "choice":
            words = json.loads(constraint.source)
            choices = " | ".join(json.dumps(word, ensure_ascii=False) for word in words)
            return str(matcher.grammar_from_lark(f"start: {choices}"))
        return str(matcher.grammar_from_lark(constraint.source))
    except ValueError as error:
        raise ConfigurationError(
            f"the {constraint.kind} constraint is invalid: {error}", hint="Check its syntax."
        ) from error
