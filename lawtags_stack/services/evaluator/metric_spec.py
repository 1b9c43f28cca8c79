"""The parameters of each metric."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.model_spec import ModelFields
from lawtags_stack.services.evaluator.spec_base import ClosedRecord, Number, SpecRecord, Template

_LONGEST_PATTERN = 2000


class _MetricParams(ClosedRecord):
    # Clients pass the judge of one metric to all metrics, most of which use no model.
    model: JsonValue = None


class Comparison(_MetricParams):
    """``em``, ``f1``, ``rouge`` and ``accuracy``."""

    ground_truth: Template | None = None
    prediction: Template | None = None


class Bleu(Comparison):
    """``bleu``."""

    references: Annotated[list[Template], Field(min_length=1)] | None = None


class StringCheck(_MetricParams):
    """``string-check``."""

    check: Annotated[list[Template], Field(min_length=3, max_length=3)]

    @field_validator("check")
    @classmethod
    def _known(cls, check: list[Template]) -> list[Template]:
        _read_check("string-check", check)
        return check


class NumberCheck(_MetricParams):
    """``number-check``."""

    check: Annotated[list[Template], Field(min_length=3, max_length=5)]
    epsilon: Annotated[Number, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _known(self) -> NumberCheck:
        operator, rest = _read_check("number-check", self.check)
        if operator == metrics.DIFFERENCE:
            if not 0 <= _tolerance(self.epsilon, rest) < math.inf:
                raise ValueError("epsilon must be a non-negative number")
        elif rest or self.epsilon is not None:
            raise ValueError(f"epsilon requires the operator {metrics.DIFFERENCE!r}, not {operator!r}")
        return self


def _read_check(kind: str, check: list[Template]) -> tuple[str, list[str]]:
    try:
        _, operator, _, *rest = metrics.read_check(kind, check)
    except BadRequestError as error:
        raise ValueError(error.message) from None
    return operator, rest


def _tolerance(epsilon: float | None, rest: list[str]) -> float:
    try:
        return metrics.tolerance({"epsilon": epsilon}, rest)
    except BadRequestError as error:
        raise ValueError(error.message) from None


class ToolCalling(_MetricParams):
    """``tool-calling``."""

    tool_calls_ground_truth: str | list[JsonObject] | None = None


class ParserSpec(SpecRecord):
    """How to extract a score from a judge's answer."""

    type: Literal["regex"] | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=_LONGEST_PATTERN)]

    @field_validator("pattern")
    @classmethod
    def _has_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is not a regular expression: {error}") from None
        if not groups:
            raise ValueError("needs a group around the score, such as (\\d+)")
        return pattern


class ScoreSpec(SpecRecord):
    """A score that a judge assigns."""

    type: Literal["int", "float"] | None = None
    parser: ParserSpec

    def as_json(self) -> metrics.JudgeScore:
        """The form that ``judge_scores`` needs."""
        return {"type": self.type, "parser": {"pattern": self.parser.pattern}}


class JudgeParams(ClosedRecord):
    """``llm-judge``."""

    model: Annotated[str, Field(min_length=1)] | ModelFields
    template: Annotated[JsonObject, Field(min_length=1)]
    scores: Annotated[dict[str, ScoreSpec], Field(min_length=1)]


PARAMS: dict[str, type[SpecRecord]] = {
    "accuracy": Comparison,
    "bleu": Bleu,
    "em": Comparison,
    "f1": Comparison,
    "llm-judge": JudgeParams,
    "number-check": NumberCheck,
    "rouge": Comparison,
    "string-check": StringCheck,
    "tool-calling": ToolCalling,
}
"""The parameters of the supported metrics, by type."""
