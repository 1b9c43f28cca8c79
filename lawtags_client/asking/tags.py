"""From questions to tags: by a fitted tagger, or by parsing what the model writes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from lawtags_client.asking.arguments import checked_call
from lawtags_client.asking.mixing import tag_by_mixing
from lawtags_client.asking.tagged import Tagged, TagScorer
from lawtags_client.asking.writing import tag_by_writing
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.client import NeMo

__all__ = ["tag", "tag_many"]


@checked_call
async def tag(
    nemo: NeMo,
    *,
    title: str,
    body: str | None = None,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    limit: int = 5,
    threshold: float | None = None,
    unmasked: bool = False,
) -> Tagged:
    """Tag one question.

    Example:
        ``(await tag(nemo, title="Can pricing be trademarked?", model=model)).tags``

    Args:
        nemo: an open client.
        title: the question's title.
        body: its text. A tagger that knows how its questions were made ready takes HTML and Markdown and
            masks personal data; otherwise give it without markup.
        model: the tuned model's id.
        tagger: a fitted one, which mixes in a retriever; without it the model's own words are parsed.
        vocabulary: the known tags, to which the answer is held where the server can.
        style: of the prompt, as in training; ignored with a tagger, which knows its own.
        chat: use the chat API, for a model that was trained on messages; by default as the
            tagger says.
        limit: maximum number of tags.
        threshold: probability from 0 to 1 below which a tag is left out, so that there may be none.
        unmasked: do not mask personal data, although the tagger's model was trained on masked text.

    Raises:
        MissingExtraError: a package that makes the question ready for the tagger is not installed.
        ConfigurationError: an argument is of the wrong type, such as a blocking client.
        LawtagsError: the question could not be tagged.
    """
    questions = [Question(id="", title=title, body=body, tags=())]
    tagged = tag_many(
        nemo,
        questions,
        model=model,
        tagger=tagger,
        vocabulary=vocabulary,
        style=style,
        chat=chat,
        limit=limit,
        threshold=threshold,
        unmasked=unmasked,
    )
    (result,) = [one async for one in tagged]
    if result.error is not None:
        raise result.error
    return result


@checked_call
async def tag_many(
    nemo: NeMo,
    questions: Iterable[Question] | AsyncIterable[Question],
    *,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    limit: int = 5,
    threshold: float | None = None,
    unmasked: bool = False,
    concurrency: int | None = None,
    batch_size: int = 8,
    ordered: bool = True,
) -> AsyncIterator[Tagged]:
    """Tag many questions; one that cannot be tagged carries its error.

    Questions are read as they are needed and prepared in a thread. The number of concurrent requests
    adapts to the server. ``lawtags_client.runs.tag_file`` writes the results to a file, and resumes where
    it stopped.

    Args:
        nemo: an open client.
        questions: what to tag; those that ``questions_to_tag`` made ready are asked as they are.
        model: as for ``tag``, like the following ones.
        tagger: see there.
        vocabulary: see there.
        style: see there.
        chat: see there.
        limit: see there.
        threshold: see there.
        unmasked: see there.
        concurrency: maximum concurrency; adaptive by default.
        batch_size: prompts per request, if a tagger requests one token each.
        ordered: in the order of the questions; otherwise, where the model writes, as the answers come.

    Raises:
        ConfigurationError: an argument is of the wrong type, such as a blocking client, or an item is not a
            question.
    """
    if tagger is not None:
        asking: PromptSettings | None = getattr(tagger, "asking", None)
        found = tag_by_mixing(
            nemo.inference,
            questions,
            tagger,
            asking=asking,
            unmasked=unmasked,
            model=model,
            chat=asking.chat if chat is None and asking is not None else bool(chat),
            concurrency=concurrency,
            batch_size=batch_size,
        )
    else:
        found = tag_by_writing(
            nemo.inference,
            questions,
            model=model,
            chat=bool(chat),
            needs_scores=threshold is not None,
            concurrency=concurrency,
            style=style,
            vocabulary=vocabulary,
            limit=limit,
            ordered=ordered,
        )
    async for tagged in found:
        yield tagged if threshold is None else _without_unlikely(tagged, threshold)


def _without_unlikely(tagged: Tagged, threshold: float) -> Tagged:
    likely = tuple(tag for tag in tagged.tags if tagged.scores[tag] >= threshold)
    return replace(tagged, tags=likely)
