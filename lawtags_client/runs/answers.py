"""Asking a model with all rows of a part, keeping what it answers and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from lawtags_client.closing import closing
from lawtags_client.errors import BadRequestError, LawtagsError, PayloadTooLargeError, UnprocessableError
from lawtags_client.files import atomic_write_text
from lawtags_client.json_value import JsonObject
from lawtags_client.platform import PromptInput
from lawtags_client.runs.documents import validated
from lawtags_client.runs.lost_rows import too_many
from lawtags_client.runs.outputs import CurateOutput
from lawtags_client.runs.rows import RowLog
from lawtags_client.runs.stage import RunContext

# A row that is answered with one of these is at fault itself.
_REFUSALS = (BadRequestError, PayloadTooLargeError, UnprocessableError)
_TELL_EVERY = 1.0
_SILENT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswer:
    """What a server replied to one row.

    Attributes:
        row: the row's number, from zero.
        tokens: the likeliest first tokens with their log probabilities, if they were asked for.
        text: the answer, if it was asked for.
        held: whether the answer was constrained to the vocabulary; None if that is not known.
        error: why there is no answer.
        refused: whether the server refuses the row for good.
    """

    row: int
    tokens: dict[str, float] | None = None
    text: str | None = None
    held: bool | None = None
    error: str | None = None
    refused: bool = False


class AnswerLog:
    """The answers of one model to the rows of one part, on disk before the next question goes out.

    An interrupted attempt leaves what was answered, and the next one asks only for the rest. A row that the
    server refuses, while it answers others, is kept as refused and not asked for again: the same question to
    the same server has the same answer. A row that failed otherwise is not kept.

    Args:
        log: the file of answers.
        ids: the id of each row.
    """

    def __init__(self, log: RowLog, ids: Sequence[str]) -> None:
        self._log = log
        self._ids = ids
        self._failed: dict[int, str] = {}
        self.rows = len(ids)
        self.missing = [row for row in range(self.rows) if row not in log.rows]

    @property
    def lost(self) -> int:
        """Rows that a later attempt may yet answer."""
        return sum(row not in self._log.rows for row in range(self.rows))

    @property
    def refused(self) -> int:
        """Rows that the server refuses for good."""
        return sum(bool(row.get("refused")) for row in self._log.rows.values())

    def all(self) -> list[RowAnswer]:
        """One entry per row: its answer, or why there is none.

        Raises:
            DataError: the file of answers is damaged.
        """
        rows = [
            self._log.rows.get(row) or {"row": row, "error": self._failed.get(row, "was not asked")}
            for row in range(self.rows)
        ]
        path = self._log.path
        hint = "Delete the file, then repeat the command: the rows are asked for again."
        return validated(list[RowAnswer], rows, what=path.name, hint=hint, path=path)

    async def collect(
        self,
        context: RunContext,
        asked: CountedPrompts,
        found: AsyncIterator[tuple[int, JsonObject | Exception]],
        text: str,
    ) -> None:
        """Take in what a model answers to the missing rows.

        Args:
            context: whom to tell.
            asked: the questions, of the missing rows.
            found: place among the missing rows, and what is to be kept of the answer, or the error.
            text: what is being asked, for people.

        Raises:
            LawtagsError: the last one, where no row was answered this time and too many are missing.
        """
        refusals: dict[int, Exception] = {}
        last: Exception | None = None
        async with closing(found), _reported(context, self, asked, text):
            async for place, value in found:
                row = self.missing[place]
                asked.back += 1
                if isinstance(value, _REFUSALS):
                    refusals[row] = value
                elif isinstance(value, Exception):
                    last = value
                    self._failed[row] = reason_of(value)
                else:
                    self._log.append({"row": row, "id": self._ids[row], **value})
        self._settle(refusals, last)
        lost = self.lost
        if lost:
            context.progress.note(f"{lost} of {self.rows} rows have no answer yet ({text})")
        if self.refused:
            context.progress.note(f"the server refuses {self.refused} of {self.rows} rows ({text})")

    @property
    def done(self) -> int:
        """Rows that are answered or refused."""
        return len(self._log.rows)

    def _settle(self, refusals: dict[int, Exception], last: Exception | None) -> None:
        answers = any("refused" not in row for row in self._log.rows.values())
        if not answers and (refusals or last):
            # A server that answers nothing at all refuses no single row: something else is wrong.
            raise last or next(iter(refusals.values()))
        for row, problem in refusals.items():
            self._log.append({"row": row, "id": self._ids[row], "error": reason_of(problem), "refused": True})
        none_answered = len(self._failed) == len(self.missing) - len(refusals)
        if last is not None and none_answered and too_many(len(self._failed), self.rows):
            raise last


class CountedPrompts(Sequence[PromptInput]):
    """Questions that count how many of them were taken to be sent."""

    def __init__(self, prompts: Sequence[PromptInput]) -> None:
        self._prompts = prompts
        self.taken = 0
        self.back = 0

    @property
    def under_way(self) -> int:
        """Questions that were sent and have neither answer nor error yet."""
        return max(0, self.taken - self.back)

    def __len__(self) -> int:
        return len(self._prompts)

    @overload
    def __getitem__(self, place: int) -> PromptInput: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[PromptInput]: ...
    def __getitem__(self, place: int | slice) -> PromptInput | Sequence[PromptInput]:
        return self._prompts[place]

    def __iter__(self) -> Iterator[PromptInput]:
        for prompt in self._prompts:
            self.taken += 1
            yield prompt


def reason_of(problem: Exception) -> str:
    """An error as one line that is the same for all rows that it befalls."""
    words = problem.message if isinstance(problem, LawtagsError) else str(problem)
    status = f" (HTTP {problem.status})" if isinstance(problem, LawtagsError) and problem.status else ""
    return " ".join(f"{type(problem).__name__}: {words}{status}".split())


def working_file(context: RunContext, name: str, model: str, asked: str) -> Path:
    """A file of partial answers, emptied when another model, other rows or something else was asked."""
    path = context.folder / "answers" / f"{name}.jsonl"
    owner = path.with_suffix(".model")
    identity = f"{model} {context.left(CurateOutput).digest} {asked}\n"
    if not owner.exists() or owner.read_text() != identity:
        path.unlink(missing_ok=True)
        atomic_write_text(owner, identity)
    return path


@contextlib.asynccontextmanager
async def _reported(
    context: RunContext, answers: AnswerLog, asked: CountedPrompts, text: str
) -> AsyncIterator[None]:
    """Report progress while answers arrive, and while they do not."""
    back, since = asked.back, time.monotonic()

    def tell() -> None:
        nonlocal back, since
        if asked.back != back:
            back, since = asked.back, time.monotonic()
        words = f"{text}, {asked.under_way} rows in flight" if asked.under_way else text
        silent = time.monotonic() - since
        if asked.under_way and silent >= _SILENT:
            words += f", no answer for {silent:.0f} s"
        context.progress.update(answers.done, answers.rows, words)

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY)
            tell()

    tell()
    teller = asyncio.create_task(keep_telling())
    try:
        yield
        tell()
    finally:
        teller.cancel()
