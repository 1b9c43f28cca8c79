"""The verdict: every system on the same test rows, with intervals.

A row without an answer says something about the server and nothing about the model, and is scored all the
same: without tags, or, for the tagger, with the retriever's. So failed rows are counted for each system, and
where they are more than 2 % of its rows, nothing is said about it and no gate on it is passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations

from lawtags_client.runs.lost_rows import LostRows, too_many
from lawtags_client.runs.metrics import (
    Difference,
    IncompleteSystem,
    LossReason,
    Metrics,
    QuestionsWon,
    SystemFigures,
    ValidationRows,
)
from lawtags_client.runs.recipe import EvaluationSection
from lawtags_client.tagging.confusion import confusions
from lawtags_client.tagging.metrics import Resampled, Scores, per_tag, resample, score
from lawtags_client.tagging.paired import pair_questions
from lawtags_client.terminal import escape_controls

SYSTEMS = {
    "tagger": "Tuned model mixed with encoder and retriever",
    "tuned": "Tuned model alone, constrained to the vocabulary",
    "base": "Base model untuned, constrained to the vocabulary",
    "blend": "Encoder mixed with the retriever, without a language model",
    "encoder": "Encoder tuned to give tags",
    "retriever": "Retriever without a language model",
    "retriever_words": "Retriever without language model and sentence embeddings",
    "tfidf": "TF-IDF + logistic regression",
    "most_frequent": "Most frequent tags",
}
"""Every system of a verdict, and what it is."""

MAIN_PAIRS = (*(("tagger", other) for other in SYSTEMS if other != "tagger"), ("tuned", "base"))
"""The comparisons that a verdict is about, in the order in which they are printed."""

COMPARED = ("micro_f1", "macro_f1", "samples_f1")

Tags = Sequence[frozenset[str]]


def verdict(
    truth: Tags,
    predicted: Mapping[str, Tags],
    options: EvaluationSection,
    *,
    lost: Mapping[str, LostRows] | None = None,
    validation: ValidationRows | None = None,
) -> Metrics:
    """Score all systems.

    Args:
        truth: the true tags of each test row.
        predicted: the tags that each system gave, in the same order.
        options: how to resample.
        lost: the test rows for which a system has no answer of its own.
        validation: the rows on which the tagger's mix was fitted.
    """
    gone = {name: (lost or {}).get(name, LostRows()) for name in predicted}
    incomplete = _incomplete(gone, len(truth), validation)
    drawn = {
        name: resample(truth, tags, samples=options.bootstrap, seed=options.seed)
        for name, tags in predicted.items()
    }
    unjudged = {entry.system for entry in incomplete}
    return Metrics(
        test_rows=len(truth),
        systems={
            name: _figures(score(truth, tags), drawn[name], gone[name]) for name, tags in predicted.items()
        },
        validation=validation,
        incomplete=tuple(incomplete),
        differences=tuple(
            row
            for a, b in combinations([name for name in SYSTEMS if name in predicted], 2)
            for row in _differences(a, b, drawn, judged=not unjudged & {a, b})
        ),
        questions=tuple(
            _questions(truth, a, b, predicted)
            for a, b in combinations([name for name in SYSTEMS if name in predicted], 2)
            if not unjudged & {a, b}
        ),
        confusions={name: tuple(confusions(truth, tags)) for name, tags in predicted.items()},
        per_tag={name: tuple(per_tag(truth, tags)) for name, tags in predicted.items()},
    )


def _figures(scores: Scores, drawn: Resampled, lost: LostRows) -> SystemFigures:
    reasons = tuple(LossReason(reason=reason, rows=rows) for reason, rows in lost.reasons)
    return SystemFigures(
        **asdict(scores),
        intervals={metric: (found.low, found.high) for metric, found in drawn.intervals().items()},
        failed=lost.failed,
        refused=lost.refused,
        failed_scored_as=lost.scored_as if lost.failed else None,
        failed_reasons=reasons if lost.failed else None,
    )


def in_words(entry: IncompleteSystem) -> str:
    """One entry of ``incomplete`` as a clause."""
    kind = "validation" if entry.part == "validation" else "test"
    return f"{entry.failed} of {entry.rows} {kind} rows of {entry.system} have no answer"


def lost_in_words(metrics: Metrics) -> list[str]:
    """Which systems have rows without an answer, how these were scored, and what follows from it."""
    told = []
    for name, found in metrics.systems.items():
        if found.failed:
            reasons = "; ".join(f"{each.rows} × {each.reason}" for each in (found.failed_reasons or ())[:3])
            told.append(
                f"{name}: {found.failed} of {metrics.test_rows} rows have no answer "
                f"and were scored with {found.failed_scored_as} ({reasons})"
            )
    validation = metrics.validation
    if validation and validation.failed:
        told.append(
            f"tagger: fitted without {validation.failed} of {validation.rows} validation rows, "
            "which have no answer"
        )
    if metrics.incomplete:
        systems = ", ".join(dict.fromkeys(entry.system for entry in metrics.incomplete))
        told.append(f"There is no verdict on {systems}. {remedy(metrics.incomplete)}")
    return told


def remedy(incomplete: Sequence[IncompleteSystem]) -> str:
    """What to do about lost rows, as a hint."""
    again = "Repeat the command: it sends only the missing rows."
    refused = (
        "The server permanently refuses some rows, so they are not retried; predictions-*.jsonl has the "
        "reasons. Shorten the prompts (curation.style.max_tokens), or leave those rows out, and add --new."
    )
    hints = [again] if any(entry.failed > entry.refused for entry in incomplete) else []
    hints += [refused] if any(entry.refused for entry in incomplete) else []
    return " ".join(hints)


def embeddings_in_words(metrics: Metrics) -> list[str]:
    """Whether the retriever uses sentence embeddings, and of which encoder; nothing in older verdicts."""
    return [f"retriever: {escape_controls(metrics.embeddings)}"] if metrics.embeddings else []


def reading(row: Difference) -> str:
    """What a difference says: ``better``, ``worse`` or ``not shown``; ``not judged`` if rows are lost."""
    if row.reading is not None:
        return row.reading
    return "better" if row.low > 0 else "worse" if row.high < 0 else "not shown"


def reading_in_words(row: Difference) -> str:
    """A reading as people see it: ``no difference shown`` in place of ``not shown``."""
    return reading_of(reading(row))


def reading_of(found: str) -> str:
    """A reading as people see it."""
    return "no difference shown" if found == "not shown" else found


def sentences(metrics: Metrics) -> list[str]:
    """The main comparisons in words, one sentence for each pair, for better and for worse."""
    told = []
    for a, b in MAIN_PAIRS:
        parts = [
            f"{row.metric.replace('_f1', ' F1')} {row.difference:+.3f} "
            f"[{row.low:+.3f}, {row.high:+.3f}] {reading_in_words(row)}"
            for row in metrics.differences
            if (row.a, row.b) == (a, b)
        ]
        parts += [
            f"questions {each.won} won, {each.lost} lost, {each.unchanged} unchanged "
            f"(McNemar's p {each.p_value:.2g})"
            for each in metrics.questions
            if (each.a, each.b) == (a, b)
        ]
        if parts:
            told.append(f"{a} against {b}: {'; '.join(parts)}")
    return told


def _differences(a: str, b: str, drawn: Mapping[str, Resampled], *, judged: bool) -> list[Difference]:
    found = drawn[a].minus(drawn[b]).intervals()
    rows = [
        Difference(
            a=a,
            b=b,
            metric=metric,
            difference=found[metric].value,
            low=found[metric].low,
            high=found[metric].high,
        )
        for metric in COMPARED
    ]
    return [replace(row, reading=reading(row) if judged else "not judged") for row in rows]


def _questions(truth: Tags, a: str, b: str, predicted: Mapping[str, Tags]) -> QuestionsWon:
    found = pair_questions(truth, predicted[a], predicted[b])
    return QuestionsWon(
        a=a,
        b=b,
        won=len(found.won),
        lost=len(found.lost),
        unchanged=len(found.unchanged),
        p_value=found.p_value,
    )


def _incomplete(
    lost: Mapping[str, LostRows], rows: int, validation: ValidationRows | None
) -> list[IncompleteSystem]:
    found = [
        IncompleteSystem(system=name, part="testing", rows=rows, failed=gone.failed, refused=gone.refused)
        for name, gone in lost.items()
        if too_many(gone.failed, rows)
    ]
    # The mix is fitted on what the model takes; rows that it refuses for good would never be part of it.
    if validation and "tagger" in lost and too_many(validation.failed - validation.refused, validation.rows):
        found.append(IncompleteSystem(system="tagger", part="validation", **asdict(validation)))
    return found
