"""Requests to an engine and its answers: plain data that crosses the process boundary as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lawtags_stack.chat.call_format import ParsedCall
from lawtags_stack.processes.frames import Message

ConstraintKind = Literal["choice", "regex", "json", "grammar"]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint on an answer.

    Args:
        kind: ``choice`` (one of several strings), ``regex``, ``json`` (a JSON schema) or ``grammar`` (Lark).
        source: the regex or grammar, or the choices or the schema as JSON text.
    """

    kind: ConstraintKind
    source: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen.

    Args:
        max_tokens: maximum number of tokens per answer.
        temperature: 0 chooses the most likely token.
        top_p: sample from the smallest set of tokens with this cumulative probability.
        top_k: sample from this many of the most likely tokens; 0 sets no limit.
        min_p: sample from tokens with at least this fraction of the most likely token's probability.
        seed: makes sampling reproducible; None draws a new seed.
        n: answers per prompt.
        stop: strings that end an answer and are not part of it.
        logprobs: number of alternatives to report per token; None reports nothing.
        ignore_eos: continue after the model's end-of-text token.
        frequency_penalty: subtracted from a token's logit per occurrence in the answer.
        presence_penalty: subtracted once from the logit of a token that occurs in the answer.
        repetition_penalty: divides positive logits of tokens in the prompt or the answer, and multiplies
            negative ones; above 1 it discourages repetition.
        constraint: the constraint on the answer.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    ignore_eos: bool = False
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    constraint: Constraint | None = None

    def as_json(self) -> Message:
        """Convert to a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Message) -> Sampling:
        """Create from the output of ``as_json``."""
        constraint = value.get("constraint")
        return cls(
            **{k: v for k, v in value.items() if k not in ("constraint", "stop")},
            stop=tuple(value.get("stop", ())),
            constraint=Constraint(**constraint) if constraint else None,
        )


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One generated token, with its log-probability and the most likely alternatives.

    Log-probabilities are the model's own: at temperature 1, before penalties and constraints.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]

    def as_json(self) -> list[Any]:
        """Convert to a compact list: text, log-probability, alternatives."""
        return [self.text, self.logprob, [list(pair) for pair in self.top]]

    @classmethod
    def from_json(cls, value: list[Any]) -> TokenScore:
        """Create from the output of ``as_json``."""
        text, logprob, top = value
        return cls(text, logprob, tuple((word, score) for word, score in top))


@dataclass(slots=True)
class Answer:
    """One answer to one prompt."""

    index: int
    text: str
    finish_reason: FinishReason
    scores: list[TokenScore] = field(default_factory=list)
    tokens: int = 0
    calls: tuple[ParsedCall, ...] = ()

    def as_json(self) -> Message:
        """Convert to a JSON object."""
        return {
            "index": self.index,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "scores": [score.as_json() for score in self.scores],
            "tokens": self.tokens,
            "calls": [call.as_json() for call in self.calls],
        }

    @classmethod
    def from_json(cls, value: Message) -> Answer:
        """Create from the output of ``as_json``."""
        return cls(
            value["index"],
            value["text"],
            value["finish_reason"],
            [TokenScore.from_json(score) for score in value["scores"]],
            value["tokens"],
            tuple(map(ParsedCall.from_json, value.get("calls", ()))),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a streamed answer; the last one contains the finish reason."""

    index: int
    text: str
    scores: tuple[TokenScore, ...] = ()
    finish_reason: FinishReason | None = None
    calls: tuple[ParsedCall, ...] = ()

    def as_json(self) -> Message:
        """Convert to a JSON object."""
        return {
            "index": self.index,
            "text": self.text,
            "scores": [score.as_json() for score in self.scores],
            "finish_reason": self.finish_reason,
            "calls": [call.as_json() for call in self.calls],
        }

    @classmethod
    def from_json(cls, value: Message) -> Piece:
        """Create from the output of ``as_json``."""
        scores = tuple(TokenScore.from_json(score) for score in value["scores"])
        calls = tuple(map(ParsedCall.from_json, value.get("calls", ())))
        return cls(value["index"], value["text"], scores, value["finish_reason"], calls)
