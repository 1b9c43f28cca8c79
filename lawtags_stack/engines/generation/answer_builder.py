"""Appends chosen tokens to rows, and converts failures to errors."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError, ServerError

if TYPE_CHECKING:
    from lawtags_stack.engines.generation.rows import GenerationRow
    from lawtags_stack.engines.generation.token_text import TokenText


def failure(error: BaseException) -> LawtagsError:
    """The error to report: expected errors unchanged, others as a server error."""
    if isinstance(error, LawtagsError):
        return error
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:300]}".removesuffix(": ")
    return ServerError(f"The model failed on this request: {said}", status=500)


class AnswerBuilder:
    """Appends tokens to rows, and detects the end of answers.

    Args:
        text: the texts of the tokens.
        ends: the tokens that end an answer.
    """

    def __init__(self, text: TokenText, ends: Set[int]) -> None:
        self._text = text
        self._ends = ends

    def take(self, row: GenerationRow, token: int) -> None:
        """Append a chosen token to a row, and check whether its answer is complete; never raises."""
        try:
            row.tokens.append(token)
            if row.matcher is not None and not row.matcher.consume_token(token):
                row.finish = "stop"
            self._read(row, token)
            if row.finish is None and row.matcher is not None:
                self.fast_forward(row)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in a Rust library is not an Exception
            row.fault = failure(error)

    def _read(self, row: GenerationRow, token: int) -> None:
        if token in self._ends and not row.sampling.ignore_eos:
            row.finish = "stop"
        elif not self._text.is_special(token):
            row.stream.feed(self._text.bytes_of(token))
            if row.stream.stopped:
                row.finish = "stop"
        if row.finish is None and row.generated >= row.sampling.max_tokens:
            row.finish = "length"
        if row.finish is not None:
            row.stream.close()

    def fast_forward(self, row: GenerationRow) -> None:
        """Append the tokens for which the constraint leaves no choice."""
        matcher = row.matcher
        if matcher is None:
            return
        if matcher.is_stopped():
            row.finish = "stop"
            row.stream.close()
            return
        if row.sampling.logprobs is not None:
            return  # forced tokens have no log-probability from the model
        for token in matcher.compute_ff_tokens():
            if row.finish is not None or not matcher.consume_token(token):
                break
            row.tokens.append(token)
            self._read(row, token)
        if row.finish is None and matcher.is_stopped():
            row.finish = "stop"
            row.stream.close()
