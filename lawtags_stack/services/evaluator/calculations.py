"""Typed calls to the evaluation's sandbox."""

from __future__ import annotations

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_stack.sandbox.process import Sandbox
from lawtags_stack.services.evaluator.metrics import RowScores
from lawtags_stack.services.evaluator.sandboxed import (
    BleuInput,
    JudgeInput,
    RenderInput,
    RowMetrics,
    ScoreInput,
)


class Calculations:
    """The operations of ``sandboxed``, run in a sandbox.

    All methods raise as ``Sandbox.call``.

    Args:
        sandbox: the sandbox.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def render(self, argument: RenderInput) -> JsonObject:
        """Render a template with a row to a request."""
        body = self._sandbox.call("render", argument)
        if not isinstance(body, dict):
            raise BadRequestError("The template of a task must produce an object")
        return body

    def score(self, argument: ScoreInput) -> list[RowMetrics]:
        """Compute the metrics of rows."""
        found: list[RowMetrics] = self._sandbox.call("score", argument)
        return found

    def judged(self, argument: JudgeInput) -> RowScores:
        """Extract the scores from a judge's answer."""
        found: RowScores = self._sandbox.call("judged", argument)
        return found

    def bleu(self, outputs: list[str], references: list[list[str]]) -> tuple[list[float], float]:
        """BLEU per sentence, and for the whole corpus."""
        argument: BleuInput = {"outputs": outputs, "references": references}
        sentences, corpus = self._sandbox.call("bleu", argument)
        return sentences, corpus
