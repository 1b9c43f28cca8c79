"""The embedded Helix dialect answers every recorded request as the real server did: status, shape and values.

Ids, times, addresses and folders are masked. The lists of exceptions below are complete: an exchange that is
in none of them must be identical, and one that has become identical must leave its list.
"""

from __future__ import annotations

from pathlib import Path

import openapi
import pytest
from conformance_table import conformance_table
from dialect_replay import Outcome, explain
from recording_replay import replay_recording

# Same status and shape, other values.
DIFFERENT: dict[int, str] = {
    3: "the revision names this stack, so that clients can tell it from a real platform",
    55: "the stack reaches no hub; its text says what to do instead",
    427: "a deployment keeps the state that it was put to; the recorded server had nothing to deploy with",
    451: "the text names the stack's metrics, instead of pydantic's types of the real service",
    497: "one evaluation less: see 477",
    499: "the recording waited for 20 s before it asked how far the deletion was",
    344: "the text says which backend the job belongs to, instead of printing pydantic's report",
}
# Other status or shape.
NOT_COVERED: dict[int, str] = {
    369: "a provider is ready as soon as its models are known",
    **dict.fromkeys(
        (456, 470, 486, 491), "the real service ran a child process, and tells its ids and folders"
    ),
    **dict.fromkeys((459, 473), "an archive, recorded as base 64"),
    463: "the real service records what its process prints",
    477: "the metric llm-judge is refused",
    **dict.fromkeys(range(478, 485), "the evaluation of 477"),
    488: "one evaluation less: see 477",
    500: "the recording waited for 20 s until the deletion had come to the jobs",
    200: "all steps of DPO jobs wait for the runner; the recorded server ran the CPU steps itself",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack's folder."""
    return tmp_path_factory.mktemp("helix") / "stack"


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> list[Outcome]:
    """All exchanges, replayed in order against one stack and the model servers behind its gateway."""
    return replay_recording(folder)


def test_exchanges_are_identical(outcomes: list[Outcome], folder: Path) -> None:
    excepted = DIFFERENT.keys() | NOT_COVERED.keys()
    wrong = [each for each in outcomes if not each.identical and each.exchange.number not in excepted]
    assert not wrong, "\n".join(explain(each, str(folder)) for each in wrong)


def test_listed_differences_keep_status_and_shape(outcomes: list[Outcome], folder: Path) -> None:
    listed = [each for each in outcomes if each.exchange.number in DIFFERENT]
    wrong = [each for each in listed if not each.same_shape]
    assert not wrong, "\n".join(explain(each, str(folder)) for each in wrong)
    assert not [each.exchange.label for each in listed if each.identical], (
        "now identical: remove from the list"
    )


def test_what_is_not_covered_still_differs(outcomes: list[Outcome]) -> None:
    listed = [each for each in outcomes if each.exchange.number in NOT_COVERED]
    assert not [each.exchange.label for each in listed if each.same_shape], "now alike: remove from the list"


def test_answers_match_the_openapi_document(outcomes: list[Outcome]) -> None:
    checked = 0
    for each in outcomes:
        exchange = each.exchange
        try:
            openapi.operation(exchange.method, exchange.path)
        except openapi.Undeclared:
            continue
        checked += openapi.check_response(exchange.method, exchange.path, each.status, each.answer)
    assert checked > 240


def test_the_table_in_the_docs_is_true(outcomes: list[Outcome]) -> None:
    document = Path(__file__).parents[2] / "docs" / "conformance.md"
    assert conformance_table(outcomes) in document.read_text("utf-8"), "run: make conformance"
