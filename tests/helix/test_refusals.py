"""Refusals of Helix become errors that name the field and the remedy."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from replay import replaying
from transcripts import Exchange, exchanges, find

from lawtags_client.errors import (
    APIError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    UnprocessableError,
    UpstreamError,
)
from lawtags_client.helix.client import Helix
from lawtags_client.helix.refusals import explained, holder, read_refusal
from lawtags_client.transport.call import Call

REFUSED = [each for each in exchanges() if each.status >= 400 and isinstance(each.answer, dict)]
OF_JOBS = {
    "no spec": "spec",
    "unknown field": "spec.bogus",
    "unknown field deep": "spec.training.lora.rang",
    "no training": "spec.training",
    "wrong types": "spec.schedule.epochs",
    "unknown method": "spec.training.finetuning_type",
    "name rule": "name",
    "unknown model": "spec.model",
    "model without weights": "spec.model",
    "unknown dataset": "spec.dataset",
    "unknown validation set": "spec.dataset",
    "a file of a dataset": "spec.dataset",
    "a folder that is not there": "spec.dataset",
    "batch not divisible": "spec.batch.global_batch_size",
    "parallelism": "spec.parallelism",
    "both module lists": "spec.training.lora.target_modules",
    "distillation without teacher": "spec.training.teacher_model",
    "removed field": "spec.output_model",
    "unknown profile": "spec.training.execution_profile",
    "several nodes": "spec.parallelism.num_nodes",
    "unknown deployment config": "spec.deployment_config",
    "deployment without lora": "spec.deployment_config.lora_enabled",
    "unknown secret": "spec.integrations",
    "unknown workspace": "workspace",
    "output name in flight": "spec.output.name",
    "4 and 8 bit": "spec.model.load_in_4bit",
    "full with 4 bit": "spec.training.finetuning_type",
    "model as a string": "spec.model",
    "DPO with LoRA": "spec.training.dpo.peft",
    "GRPO": "spec.environment",
    "unknown type": "spec.training",
}


def of(exchange: Exchange) -> APIError:
    """The error of a recorded refusal, through a real connection."""
    import asyncio

    async def ask() -> None:
        with replaying([exchange] * 10) as server:
            async with Helix(base_url=server.url, max_retries=0) as helix:
                await helix._http.json(Call(exchange.method, exchange.path, repeatable=True))

    with pytest.raises(APIError) as caught:
        asyncio.run(ask())
    return caught.value


@pytest.mark.parametrize("note", OF_JOBS)
def test_each_refusal_of_a_training_job_names_the_field_and_the_remedy(note: str) -> None:
    error = of(find("customization", note))
    assert error.field == OF_JOBS[note]
    assert error.hint
    assert error.as_dict()["field"] == error.field
    # The request is not repeated: it may be confidential.
    assert '"input"' not in json.dumps(error.detail)


def test_every_recorded_refusal_is_understood() -> None:
    for exchange in REFUSED:
        detail = exchange.answer.get("detail")
        refusal = read_refusal(exchange.status, detail)
        assert refusal.message, exchange.label
        known = refusal.hint or refusal.upstream_status or exchange.status in (404, 405)
        assert known or "Invalid JSON format" in str(detail), exchange.label


@pytest.mark.parametrize(
    "text",
    [
        "Failed to compile customization job spec: Adapter 'law/x' already exists on base model 'law/b'.",
        "Adapter 'law/tagger' already exists on base model 'law/gemma'. Choose another name.",
    ],
)
def test_an_adapter_name_of_another_base_is_a_conflict(text: str) -> None:
    error = explained(UnprocessableError("x", status=422, detail=text))
    assert isinstance(error, ConflictError)
    assert error.field == "spec.output.name"
    assert "unique" in (error.hint or "")


def test_a_job_in_flight_and_a_taken_name_are_conflicts_with_a_holder() -> None:
    flight = of(find("customization", "output name in flight"))
    taken = of(find("lifecycle", "a cancelled job keeps its name"))
    for error, name in ((flight, "law-full-body"), (taken, "lc-created")):
        assert isinstance(error, ConflictError)
        assert holder(error) == name
    # A missing secret is 409, too, and says nothing of a job.
    secret = of(find("customization", "unknown secret"))
    assert isinstance(secret, UnprocessableError)
    assert holder(secret) is None


@pytest.mark.parametrize("state", ["created", "never-seen-before", "waiting for a GPU"])
def test_a_job_in_flight_is_a_conflict_whatever_its_state_is_called(state: str) -> None:
    detail = f"Job 'tags-1' ({state}) is already producing output 'law/tags-1'. Wait for it to finish."
    error = UnprocessableError(detail)
    error.status, error.detail = 422, detail
    found = explained(error)
    assert isinstance(found, ConflictError)
    assert holder(found) == "tags-1"


def test_a_missing_workspace_is_not_found_in_all_its_forms() -> None:
    for exchange in REFUSED:
        if exchange.note == "unknown workspace":
            error = of(exchange)
            assert isinstance(error, NotFoundError)
            assert error.field == "workspace"


def test_upstream_errors_have_the_words_of_the_model_server() -> None:
    refused = of(find("gateway", "the server answers 404"))
    assert isinstance(refused, UpstreamError)
    assert (refused.status, refused.upstream_status) == (424, 404)
    assert refused.message == "the model server answered 404: stub says 404"
    busy = of(find("gateway", "the server answers 429"))
    assert isinstance(busy, RateLimitedError)
    assert busy.retry_after == 7
    assert busy.message == "stub says 429"
    assert "stub says 422" in of(find("gateway", "the server answers 422")).message


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ISSUES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["missing", "value_error", "string_pattern_mismatch", "enum"]) | JSON,
            "loc": st.lists(st.sampled_from(["body", "spec", "query", 0]) | JSON, max_size=4) | JSON,
            "msg": JSON,
            "input": JSON,
            "ctx": JSON | st.fixed_dictionaries({"pattern": st.text()}),
        },
    ),
    max_size=4,
)


@given(st.sampled_from([400, 404, 409, 422, 424, 429, 500, 503]), JSON | ISSUES | st.text())
@example(422, "Job '{name}' (created) is already producing output '{0.x}'")
@example(424, "[nemo_upstream_status=404] Upstream response: {" + "[" * 5000)
@example(422, [{"type": "missing", "loc": ["body", "{x}"], "msg": "{0}"}])
def test_no_detail_breaks_the_parser(status: int, detail: Any) -> None:
    error = explained(APIError("as it was", status=status, detail=detail))
    assert error.message
    assert error.status == status
    assert len(error.message) <= 1100
    assert str(error)


@given(st.text(alphabet=string.printable, min_size=1, max_size=50).filter(lambda text: "'" not in text))
def test_names_in_a_refusal_are_shown_as_they_are(name: str) -> None:
    detail = f"Job '{name}' (created) is already producing output 'law/{name}'. Wait for it to finish."
    error = explained(UnprocessableError("x", status=422, detail=detail))
    assert holder(error) == name
    assert repr(name) in (error.hint or "")
