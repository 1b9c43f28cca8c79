"""From questions to tags: by a fitted tagger, or by parsing what the model writes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from lawtags_client.asking.arguments import checked_call
from lawtags_client.asking.mixing import tag_by_mixing
from lawtags_client.asking.tagged import Tagged, TagScorer
from lawtags_client.asking.writing import tag_by_writing
from lawtags_client.closing import closing
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.client import NeMo
    from lawtags_client.helix.client import Helix

__all__ = ["tag", "tag_many"]

_MOST = 5


@checked_call
async def tag(
    nemo: NeMo | Helix,
    *,
    title: str,
    body: str | None = None,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    at_most: int | None = None,
    threshold: float | None = None,
    unmasked: bool = False,
) -> Tagged:
    """Tag one question.

    Example:
        ``(await tag(nemo, title="Can pricing be trademarked?", model=model)).tags``

    Args:
        nemo: an open client; on NeMo Helix ``lawtags_client.helix.Helix``.
        title: the question's title.
        body: its text. With a tagger that stores its cleaning options, HTML, Markdown and personal data are
            handled as in training; otherwise pass plain text.
        model: the tuned model's id.
        tagger: a fitted tagger, which mixes in a retriever; without one, the model's answer is parsed.
        vocabulary: the known tags; the answer is constrained to them if the server supports it.
        style: prompt style of the training; ignored with a tagger, which stores its own.
        chat: use the chat API, for a model that was trained on messages; the tagger's setting by default.
        at_most: maximum number of tags; by default the tagger's own, and 5 without a tagger.
        threshold: probability from 0 to 1; tags below it are left out, possibly all.
        unmasked: do not mask personal data, even if the tagger's model was trained on masked text.

    Raises:
        MissingExtraError: a package that prepares questions for the tagger is not installed.
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
        at_most=at_most,
        threshold=threshold,
        unmasked=unmasked,
    )
    async with closing(tagged):
        (result,) = [one async for one in tagged]
    if result.error is not None:
        raise result.error
    return result


@checked_call
async def tag_many(
    nemo: NeMo | Helix,
    questions: Iterable[Question] | AsyncIterable[Question],
    *,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    at_most: int | None = None,
    threshold: float | None = None,
    unmasked: bool = False,
    concurrency: int | None = None,
    batch_size: int = 8,
    ordered: bool = True,
) -> AsyncIterator[Tagged]:
    """Tag many questions; one that cannot be tagged carries its error.

    Questions are read on demand and prepared in a thread. The number of concurrent requests
    adapts to the server. ``lawtags_client.runs.tag_file`` writes the results to a file, and resumes where
    it stopped.

    Args:
        nemo: as for ``tag``.
        questions: what to tag; those prepared by ``questions_to_tag`` are sent unchanged.
        model: as for ``tag``; so are the next seven arguments.
        tagger: see there.
        vocabulary: see there.
        style: see there.
        chat: see there.
        at_most: see there.
        threshold: see there.
        unmasked: see there.
        concurrency: maximum concurrency; adaptive by default.
        batch_size: prompts per request, if a tagger requests one token each.
        ordered: keep the order of the questions; otherwise, without a tagger, results come as they arrive.

    Raises:
        ConfigurationError: an argument is of the wrong type, such as a blocking client, or an item is not a
            question.
    """
    if tagger is not None:
        asking: PromptSettings | None = getattr(tagger, "asking", None)
        found = tag_by_mixing(
            # Of a tagger that leaves the model out, the service needs no address.
            lambda: nemo.inference,
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
            limit=_MOST if at_most is None else at_most,
            ordered=ordered,
        )
    async with closing(found):
        async for tagged in found:
            shortened = tagged if at_most is None else replace(tagged, tags=tagged.tags[:at_most])
            yield shortened if threshold is None else _without_unlikely(shortened, threshold)


def _without_unlikely(tagged: Tagged, threshold: float) -> Tagged:
    likely = tuple(tag for tag in tagged.tags if tagged.scores[tag] >= threshold)
    return replace(tagged, tags=likely)
