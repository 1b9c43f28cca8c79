"""The evaluation that a run asks of Helix, and its scores, F1 over sets of tags included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from lawtags_client.helix import metrics
from lawtags_client.helix.types.evaluations import (
    AggregateScores,
    HelixEvaluationParams,
    HelixEvaluationSpec,
    HelixEvaluationTarget,
    HelixScoredRow,
)
from lawtags_client.platform.protocol import EvaluationIntent
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.parse import parse_tags

_TASK = "tags"
_TRUTH = "{{item.completion}}"
_MOST_TAGS = 50
# The names that the same metrics have in a run on the v1 microservices.
_NAMES: Mapping[str, str] = {"string-check": "contains", "exact-match": "em"}


def evaluation_spec(intent: EvaluationIntent, *, dataset: str, url: str) -> HelixEvaluationSpec:
    """Completions of the test prompts, compared as strings.

    A prompt template that is text makes the evaluator ask for completions, not chats.

    Args:
        intent: the wish.
        dataset: the test rows, ``workspace/fileset#file``.
        url: of the gateway.
    """
    return HelixEvaluationSpec(
        dataset=dataset,
        metrics=[
            metrics.string_check(metrics.OUTPUT_TEXT, "contains", _TRUTH),
            metrics.exact_match(_TRUTH),
            metrics.f1(_TRUTH),
            metrics.bleu([_TRUTH]),
            metrics.rouge(_TRUTH),
        ],
        target=HelixEvaluationTarget(url=url, name=intent.model, format="openai"),
        prompt_template="{{item.prompt}}",
        params=HelixEvaluationParams(
            parallelism=8,
            limit_samples=intent.limit,
            inference={"temperature": 0, "max_tokens": intent.max_tokens, "stop": ["\n"]},
        ),
    )


def named_scores(aggregate: AggregateScores) -> dict[str, float]:
    """The means by the names that they have in a run: ``tags.metric``, or ``tags.metric.score``."""
    split = [(*name.partition("."), value) for name, value in aggregate.means.items()]
    found: dict[str, float] = {}
    for metric, _, part, value in split:
        alone = sum(other == metric for other, *_ in split) == 1
        name = f"{_TASK}.{_NAMES.get(metric, metric)}"
        found[name if alone else f"{name}.{part}"] = value
    return found


def rows_scored(aggregate: AggregateScores, rows: int) -> int:
    """The fewest rows that a score was computed from.

    Args:
        aggregate: the scores; one of all rows at once, such as BLEU of the corpus, is left out.
        rows: how many there are.
    """
    counts = [rows]
    for found in aggregate.scores:
        numbers, others = found.count or 0, found.nan_count or 0
        if numbers + others == rows:
            counts.append(numbers)
    return min(counts)


async def tag_scores(rows: AsyncIterator[HelixScoredRow]) -> tuple[dict[str, float], int]:
    """F1 over sets of tags, which Helix does not have, and the number of rows.

    Args:
        rows: with the answer in the sample, and the true tags as ``completion``.
    """
    true: list[frozenset[str]] = []
    given: list[frozenset[str]] = []
    async for row in rows:
        truth, answer = row.item.get("completion"), row.sample.output_text if row.sample else None
        true.append(_tags(truth if isinstance(truth, str) else ""))
        given.append(_tags(answer or ""))
    if not true:
        return {}, 0
    found = score(true, given)
    return {f"{_TASK}.micro_f1": found.micro_f1, f"{_TASK}.macro_f1": found.macro_f1}, len(true)


def _tags(text: str) -> frozenset[str]:
    return frozenset(parse_tags(text, limit=_MOST_TAGS).tags)
