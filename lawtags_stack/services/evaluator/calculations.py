"""What an evaluation asks of its sandbox, with the types of what goes in and comes out."""

from __future__ import annotations

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_stack.sandbox.process import Sandbox
from lawtags_stack.services.evaluator.confined import (
    Judgement,
    RowFigures,
    RowsToScore,
    Sentences,
    ToRender,
)
from lawtags_stack.services.evaluator.metrics import RowScores


class Calculations:
    """The operations of ``confined`` in a sandbox.

    All of them raise as ``Sandbox.call`` does.

    Args:
        sandbox: the process that does them.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def render(self, argument: ToRender) -> JsonObject:
        """The request that a template makes of a row."""
        body = self._sandbox.call("render", argument)
        if not isinstance(body, dict):
            raise BadRequestError("The template of a task must produce an object")
        return body

    def score(self, argument: RowsToScore) -> list[RowFigures]:
        """What the metrics make of rows."""
        found: list[RowFigures] = self._sandbox.call("score", argument)
        return found

    def judged(self, argument: Judgement) -> RowScores:
        """The scores that a judge's answer holds."""
        found: RowScores = self._sandbox.call("judged", argument)
        return found

    def bleu(self, outputs: list[str], references: list[list[str]]) -> tuple[list[float], float]:
        """BLEU of each sentence, and of all as one corpus."""
        argument: Sentences = {"outputs": outputs, "references": references}
        sentences, corpus = self._sandbox.call("bleu", argument)
        return sentences, corpus
