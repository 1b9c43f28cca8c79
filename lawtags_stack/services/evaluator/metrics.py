"""The Evaluator's metrics: values per row, aggregated to scores with statistics.

``f1`` and ``em`` compare texts like SQuAD (ignoring case, punctuation, articles and extra whitespace);
``bleu`` comes from sacrebleu, ``rouge`` from rouge-score.
"""

from __future__ import annotations

import contextlib
import math
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NotRequired, TypedDict

from lawtags_client.errors import BadRequestError, MissingExtraError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.sandbox.limits import cpu_limit

if TYPE_CHECKING:
    from types import ModuleType

    from rouge_score.rouge_scorer import RougeScorer

_PATTERN_SECONDS = 2.0  # of CPU time for one search
RowScores = dict[str, float]


class Stats(TypedDict):
    """The statistics of a score; only the counts if no row has a value."""

    count: int
    sum: NotRequired[float]
    mean: NotRequired[float]
    min: NotRequired[float]
    max: NotRequired[float]
    stddev: NotRequired[float]
    stderr: NotRequired[float]
    variance: NotRequired[float]
    sum_squared: NotRequired[float]
    nan_count: NotRequired[int]


class MetricScore(TypedDict):
    """One score over all rows."""

    value: float | None
    stats: NotRequired[Stats]


Scores = dict[str, MetricScore]


class MetricScores(TypedDict):
    """The scores of one metric."""

    scores: Scores


class TaskScores(TypedDict):
    """The metrics of one task."""

    metrics: dict[str, MetricScores]


class JudgeParser(TypedDict):
    """How to extract a score from a judge's answer."""

    pattern: str


class JudgeScore(TypedDict):
    """A score that a judge assigns."""

    type: NotRequired[str | None]
    parser: JudgeParser


_STRING_CHECKS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda left, right: left == right,
    "not equals": lambda left, right: left != right,
    "contains": lambda left, right: right in left,
    "not contains": lambda left, right: right not in left,
    "startswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
}
_NUMBER_CHECKS: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda left, right: left == right,
    "not equals": lambda left, right: left != right,
    "greater than": lambda left, right: left > right,
    "greater than or equals": lambda left, right: left >= right,
    "less than": lambda left, right: left < right,
    "less than or equals": lambda left, right: left <= right,
}
_SYMBOLS = {
    "==": "equals",
    "!=": "not equals",
    ">": "greater than",
    ">=": "greater than or equals",
    "<": "less than",
    "<=": "less than or equals",
}
_ROUGE = {
    "rouge1": "rouge_1_score",
    "rouge2": "rouge_2_score",
    "rouge3": "rouge_3_score",
    "rougeL": "rouge_L_score",
}
DIFFERENCE = "absolute difference"
OPERATORS: Mapping[str, tuple[str, ...]] = {
    "string-check": tuple(_STRING_CHECKS),
    "number-check": (*_NUMBER_CHECKS, *_SYMBOLS, DIFFERENCE),
}
"""The operators of a check, infix or prefix, by metric."""


def check_operator(kind: str, operator: str) -> None:
    """Reject an unknown operator.

    Args:
        kind: ``string-check`` or ``number-check``.
        operator: the operator.

    Raises:
        BadRequestError: the metric does not have this operator.
    """
    known = OPERATORS[kind]
    if operator not in known:
        raise BadRequestError(f"{kind} has no operator {operator[:80]!r}; use {', '.join(known)}")


def read_check(kind: str, check: object) -> list[str]:
    """Parse a check into left, operator, right and the rest; the operator may also come first.

    Args:
        kind: ``string-check`` or ``number-check``.
        check: the check in the config.

    Raises:
        BadRequestError: it is malformed, or the operator is unknown.
    """
    if not isinstance(check, list) or len(check) < 3:
        raise BadRequestError("The parameter check must be [left, operator, right]")
    first, second, *rest = (str(part) for part in check)
    known = OPERATORS[kind]
    if first in known and second not in known:
        return [second, first, *rest]
    check_operator(kind, second)
    return [first, second, *rest]


def tolerance(params: Mapping[str, JsonValue], rest: Sequence[str]) -> float:
    """Parse epsilon, from the parameters or after the check, optionally preceded by its name.

    Raises:
        BadRequestError: it is not a number.
    """
    given = params.get("epsilon")
    if given is None:
        given = next((part for part in rest if part != "epsilon"), 0.0)
    if isinstance(given, int | float | str):
        with contextlib.suppress(ValueError):
            return float(given)
    raise BadRequestError(f"The epsilon of a number-check must be a number, not {given!r}")


def string_check(left: str, operator: str, right: str) -> RowScores:
    """Compare two texts with an operator: 1 or 0."""
    check_operator("string-check", operator)
    return {"string-check": float(_STRING_CHECKS[operator](left, right))}


def number_check(left: str, operator: str, right: str, epsilon: float = 0.0) -> RowScores:
    """Compare two numbers with an operator: 1 or 0; NaN if one of them is not a number."""
    check_operator("number-check", operator)
    try:
        first, second = float(left), float(right)
    except ValueError:
        return {"number-check": math.nan}
    if operator == DIFFERENCE:
        return {"number-check": float(abs(first - second) <= epsilon)}
    check = _NUMBER_CHECKS[_SYMBOLS.get(operator, operator)]
    return {"number-check": float(check(first, second))}


def normalize(text: str) -> str:
    """Remove case, punctuation, articles and extra whitespace from a text."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(output: str, truth: str) -> RowScores:
    """Whether two texts are equal, ignoring case, punctuation and articles."""
    return {"em": float(normalize(output) == normalize(truth))}


def token_f1(output: str, truth: str) -> RowScores:
    """Harmonic mean of word precision and recall."""
    found, wanted = normalize(output).split(), normalize(truth).split()
    if not found or not wanted:
        return {"f1": float(found == wanted)}
    common = sum((Counter(found) & Counter(wanted)).values())
    return {"f1": 2 * common / (len(found) + len(wanted))}


def accuracy(output: str, truth: str) -> RowScores:
    """Whether two texts are equal, ignoring surrounding whitespace."""
    return {"accuracy": float(output.strip() == truth.strip())}


def rouge(output: str, truth: str) -> RowScores:
    """ROUGE-1, -2, -3 and -L, F-measure."""
    found = _rouge_scorer().score(truth, output)
    return {name: float(found[kind].fmeasure) for kind, name in _ROUGE.items()}


@lru_cache(maxsize=1)
def _rouge_scorer() -> RougeScorer:
    # The stemmer comes from NLTK, which imports SciPy and scikit-learn if installed, for unused features.
    # That took most of the time of a first evaluation.
    with _hidden("scipy", "sklearn"):
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise MissingExtraError("rouge_score", "local", "the metric rouge") from error
    return RougeScorer(list(_ROUGE), use_stemmer=True)


@contextlib.contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Block the import of optional packages that are not yet imported."""
    absent = [name for name in packages if name not in sys.modules]
    blocked: dict[str, ModuleType | None] = dict.fromkeys(absent)
    sys.modules.update(blocked)  # type: ignore[arg-type]  # None stands for what cannot be imported
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def bleu(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[float], float]:
    """BLEU per sentence and for the whole corpus, from 0 to 100."""
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingExtraError("sacrebleu", "local", "the metric bleu") from error
    if not outputs:
        return [], math.nan
    sentences = BLEU(effective_order=True)
    each = [
        float(sentences.sentence_score(output, list(texts)).score)
        for output, texts in zip(outputs, references, strict=True)
    ]
    # sacrebleu expects one stream per reference position; rows with fewer references are padded.
    most = max(len(texts) for texts in references)
    streams = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
    return each, float(BLEU().corpus_score(list(outputs), streams).score)


def judge_scores(text: str, wanted: Mapping[str, JudgeScore]) -> RowScores:
    """Extract the scores from a judge's answer; NaN if the pattern is not found.

    Raises:
        BadRequestError: a pattern is not a regular expression with a group.
    """
    found: RowScores = {}
    for name, score in wanted.items():
        pattern = score["parser"]["pattern"]
        try:
            with cpu_limit(f"The pattern {pattern[:200]!r} of score {name[:80]!r}", _PATTERN_SECONDS):
                match = re.search(pattern, text)
            value = math.nan if match is None else float(match.group(1))
        except (re.error, IndexError, OverflowError) as error:
            raise BadRequestError(f"The pattern of score {name!r} is invalid: {error}") from error
        except (ValueError, TypeError):  # not a number, or the group is not part of the match
            value = math.nan
        if not math.isfinite(value):
            value = math.nan
        elif score.get("type") == "int":
            value = float(int(value))
        found[name] = value
    return found


def tool_calls(response: JsonObject, truth: JsonValue) -> RowScores:
    """Whether the right functions were called, by name, and by name and arguments.

    Raises:
        BadRequestError: the expected calls are not a list of calls.
    """
    import json

    def calls(value: JsonValue) -> list[tuple[str, str]]:
        found = []
        for call in value if isinstance(value, list) else [value] if value else []:
            function = call.get("function", call) if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise BadRequestError(
                    "tool_calls_ground_truth must produce a list of calls with function.name and "
                    "function.arguments, e.g. {{ item.tool_calls | tojson }}"
                )
            arguments = function.get("arguments", {})
            if isinstance(arguments, str):
                try:
                    arguments = json.loads(arguments)
                except ValueError:
                    arguments = {"": arguments}
            found.append((str(function.get("name")), json.dumps(arguments, sort_keys=True)))
        return sorted(found)

    choices = response.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    given = calls(message.get("tool_calls") if isinstance(message, dict) else None)
    wanted = calls(truth)
    names = [name for name, _ in given] == [name for name, _ in wanted]
    return {
        "function_name_accuracy": float(names),
        "function_name_and_args_accuracy": float(given == wanted),
    }


def finite(scores: Mapping[str, RowScores]) -> dict[str, dict[str, float | None]]:
    """Replace NaN with None, since JSON has no NaN."""
    return {
        key: {name: None if math.isnan(value) else value for name, value in row.items()}
        for key, row in scores.items()
    }


def summarize(rows: Sequence[RowScores]) -> Scores:
    """Aggregate the values of all rows to scores with statistics; NaN values are counted separately."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _score([row[name] for row in rows if name in row]) for name in names}


def _score(values: Sequence[float]) -> MetricScore:
    known = [value for value in values if not math.isnan(value)]
    count = len(known)
    if not count:
        return {"value": None, "stats": {"count": 0, "nan_count": len(values)}}
    total = math.fsum(known)
    mean = total / count
    variance = math.fsum((value - mean) ** 2 for value in known) / (count - 1) if count > 1 else 0.0
    stats: Stats = {
        "count": count,
        "sum": total,
        "mean": mean,
        "min": min(known),
        "max": max(known),
        "stddev": math.sqrt(variance),
        "stderr": math.sqrt(variance / count),
        "variance": variance,
        "sum_squared": math.fsum(value * value for value in known),
        "nan_count": len(values) - count,
    }
    return {"value": mean, "stats": stats}
