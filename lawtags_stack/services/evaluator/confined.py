"""What an evaluation does in the sandbox: all that depends on templates, patterns and texts of others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lawtags_client.errors import LawtagsError
from lawtags_stack.sandbox import limits
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.scoring import Sample, Scorer
from lawtags_stack.services.evaluator.templates import render

Argument = dict[str, Any]
MODULE = __name__
_BLEU_SECONDS = 20.0  # of CPU time, and as much again for every thousand sentences


def _render(argument: Argument) -> Any:
    limits.at(argument["place"])
    # There is no answer yet that a request could name.
    return render(argument["template"], {**argument["item"], "item": argument["item"]})


def _score(argument: Argument) -> list[dict[str, Any]]:
    scorer = Scorer(argument["metrics"])
    found = []
    for row in argument["rows"]:
        limits.at(row["place"])
        try:
            found.append(asdict(scorer.row(Sample(row["item"], row["output"], row["response"]))))
        except LawtagsError as error:
            if row["place"] not in error.message:
                error.message += f" ({row['place']})"
            raise
    return found


def _judged(argument: Argument) -> metrics.RowScores:
    limits.at(argument["place"])
    return metrics.judge_scores(argument["text"], argument["scores"])


def _bleu(argument: Argument) -> tuple[list[float], float]:
    outputs = argument["outputs"]
    with limits.limited("The metric bleu", _BLEU_SECONDS * (1 + len(outputs) / 1000)):
        return metrics.bleu(outputs, argument["references"])


OPERATIONS = {"render": _render, "score": _score, "judged": _judged, "bleu": _bleu}
