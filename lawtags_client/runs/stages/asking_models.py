"""Asking a served model with all rows of a part: for the likeliest first tokens, or for whole answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lawtags_client.closing import closing
from lawtags_client.json_value import JsonObject
from lawtags_client.platform import ModelAnswer, PromptInput
from lawtags_client.runs.answers import AnswerLog, CountedPrompts, RowAnswer, working_file
from lawtags_client.runs.predictions import Prediction, prediction
from lawtags_client.runs.rows import RowLog, read_rows
from lawtags_client.runs.stage import RunContext

if TYPE_CHECKING:
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.vocabulary import Vocabulary

TOP_TOKENS = 20
ANSWER_TOKENS = 32


@dataclass(frozen=True, slots=True)
class PartAnswers:
    """What came of asking one model with the rows of one part.

    Args:
        rows: for each row the answer, or its error.
        lost: rows that a later attempt may yet answer.
        refused: rows that the server refuses for good.
    """

    rows: Sequence[RowAnswer]
    lost: int
    refused: int

    @property
    def tokens(self) -> list[Mapping[str, float] | None]:
        """The likeliest first tokens of each row, None if there is no answer."""
        return [row.tokens for row in self.rows]


def prompts_of(path: Path) -> list[PromptInput]:
    """The prompts of a file of Customizer rows: texts, or the messages before the assistant's turn."""
    return [_prompt(row) for row in read_rows(path)]


def _prompt(row: JsonObject) -> PromptInput:
    if "messages" not in row:
        return str(row["prompt"])
    # The curation has written them.
    messages = cast(Sequence[Mapping[str, str]], row["messages"])
    return tuple(message for message in messages if message["role"] != "assistant")


async def first_tokens(
    context: RunContext,
    model: str,
    part: str,
    questions: Sequence[Question],
    prompts: list[PromptInput] | None = None,
) -> PartAnswers:
    """The likeliest first tokens of a model's answers to a part; an interrupted attempt is taken up again.

    Args:
        context: the run.
        model: as the inference endpoint names it.
        part: of the rows.
        questions: of the part.
        prompts: to ask with; None for those of the rows.
    """
    asked = f"top {TOP_TOKENS}"
    if prompts is None:
        prompts = prompts_of(context.curated / part / f"{part}.jsonl")
    else:
        asked += f" {hashlib.sha256(json.dumps(prompts).encode()).hexdigest()}"
    path = working_file(context, f"first-tokens-{part}", model, asked)
    with RowLog(path) as log:
        answers = AnswerLog(log, [question.id for question in questions])
        out = CountedPrompts([prompts[row] for row in answers.missing])
        found = _likeliest(context.platform.first_tokens(model, out, top=TOP_TOKENS))
        await answers.collect(context, out, found, f"tuned model, {part} rows")
        return PartAnswers(answers.all(), answers.lost, answers.refused)


async def model_answers(
    context: RunContext,
    model: str,
    part: str,
    questions: Sequence[Question],
    vocabulary: Vocabulary,
    *,
    named: str,
) -> PartAnswers:
    """What a model answers to the rows of a part; an interrupted attempt is taken up again.

    Args:
        context: the run.
        model: as the inference endpoint names it.
        part: of the rows.
        questions: of the part.
        vocabulary: the tags that it may give.
        named: what is asked, for people and for the file of answers.
    """
    most = context.recipe.evaluation.max_tags
    prompts = prompts_of(context.curated / part / f"{part}.jsonl")
    path = working_file(context, f"answers-{named}", model, f"most {most} of {ANSWER_TOKENS}")
    with RowLog(path) as log:
        answers = AnswerLog(log, [question.id for question in questions])
        out = CountedPrompts([prompts[row] for row in answers.missing])
        found = context.platform.answers(
            model, out, vocabulary=vocabulary, most=most, max_tokens=ANSWER_TOKENS
        )
        await answers.collect(context, out, _written(found), f"{named} model, answers")
        return PartAnswers(answers.all(), answers.lost, answers.refused)


def generated(
    given: PartAnswers, questions: Sequence[Question], vocabulary: Vocabulary, most: int
) -> list[Prediction]:
    """The tags that a model's answers name; none for a row without an answer."""
    from lawtags_client.tagging.parse import parse_tags

    return [
        prediction(
            number,
            question.id,
            parse_tags(answer.text or "", vocabulary, limit=most).tags,
            error=answer.error,
            refused=answer.refused,
            text=answer.text,
            held=answer.held,
        )
        for number, (question, answer) in enumerate(zip(questions, given.rows, strict=True))
    ]


async def _likeliest(
    found: AsyncIterator[tuple[int, Mapping[str, float] | Exception]],
) -> AsyncIterator[tuple[int, JsonObject | Exception]]:
    async with closing(found):
        async for place, value in found:
            yield place, value if isinstance(value, Exception) else {"tokens": value}


async def _written(
    found: AsyncIterator[tuple[int, ModelAnswer | Exception]],
) -> AsyncIterator[tuple[int, JsonObject | Exception]]:
    async with closing(found):
        async for place, value in found:
            yield place, value if isinstance(value, Exception) else {"text": value.text, "held": value.held}
