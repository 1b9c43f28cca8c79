"""Taking chosen tokens into rows, and what is said of rows that fail."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError, ServerError

if TYPE_CHECKING:
    from lawtags_stack.engines.generation.rows import GenerationRow
    from lawtags_stack.engines.generation.token_text import TokenText


def failure(error: BaseException) -> LawtagsError:
    """What a caller is told of an error: errors on purpose as they are, others as a fault of the server."""
    if isinstance(error, LawtagsError):
        return error
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:300]}".removesuffix(": ")
    return ServerError(f"The model failed on this request: {said}", status=500)


class Reading:
    """Follows the answers of rows, token by token.

    Args:
        text: the texts of the tokens.
        ends: the tokens that end an answer.
    """

    def __init__(self, text: TokenText, ends: Set[int]) -> None:
        self._text = text
        self._ends = ends

    def take(self, row: GenerationRow, token: int) -> None:
        """Take a chosen token into the row and see whether the answer ends with it; never raises."""
        try:
            row.tokens.append(token)
            if row.matcher is not None and not row.matcher.consume_token(token):
                row.finish = "stop"
            self._read(row, token)
            if row.finish is None and row.matcher is not None:
                self.fast_forward(row)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # libraries in Rust raise what is no Exception when they panic
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
        """Append the tokens that the constraint leaves no choice about."""
        matcher = row.matcher
        if matcher is None:
            return
        if matcher.is_stopped():
            row.finish = "stop"
            row.stream.close()
            return
        if row.sampling.logprobs is not None:
            return  # forced tokens would have no log-probability of the model's own
        for token in matcher.compute_ff_tokens():
            if row.finish is not None or not matcher.consume_token(token):
                break
            row.tokens.append(token)
            self._read(row, token)
        if row.finish is None and matcher.is_stopped():
            row.finish = "stop"
            row.stream.close()
