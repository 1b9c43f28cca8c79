from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.types.common import Page, is_final, reference
from lawtags_client.types.customizer import (
    CustomizationJob,
    CustomizationJobRequest,
    CustomizationStatusDetails,
    Hyperparameters,
    MetricPoint,
)
from lawtags_client.types.data_store import CommitInfo, PreuploadDecision
from lawtags_client.types.deployments import ModelDeployment
from lawtags_client.types.entity_store import Dataset, Model
from lawtags_client.types.evaluator import EvaluationJob
from lawtags_client.types.inference import Completion

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
UNKNOWN = st.dictionaries(st.text(min_size=1).map(lambda name: f"x_{name}"), JSON, max_size=4)


@given(unknown=UNKNOWN, status=st.text())
def test_unknown_fields_and_states_are_kept(unknown: dict[str, Any], status: str) -> None:
    job = CustomizationJob.model_validate({"id": "cust-1", "status": status, **unknown})
    assert job.status == status
    assert job.model_extra == unknown
    assert is_final(status) == (status in ("completed", "failed", "cancelled"))


@given(st.sampled_from([CustomizationJob, EvaluationJob, Dataset, Model, ModelDeployment]), JSON)
def test_any_input_is_parsed_or_rejected_as_invalid(kind: type[Any], value: Any) -> None:
    try:
        kind.model_validate(value)
    except ValidationError:
        return


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-06-20T04:20:21.387984", datetime(2025, 6, 20, 4, 20, 21, 387984, UTC)),
        ("2025-03-18T17:04:03", datetime(2025, 3, 18, 17, 4, 3, tzinfo=UTC)),
        ("2025-04-01T21:38:59.494256552Z", datetime(2025, 4, 1, 21, 38, 59, 494256, UTC)),
        ("2025-04-01T23:38:59+02:00", datetime(2025, 4, 1, 21, 38, 59, tzinfo=UTC)),
    ],
)
def test_times_without_offset_are_utc(text: str, moment: datetime) -> None:
    assert Dataset.model_validate({"created_at": text}).created_at == moment


def test_null_for_a_list_is_an_empty_one() -> None:
    job = CustomizationJob.model_validate({"id": "c", "warnings": None, "custom_fields": None})
    assert (job.warnings, job.custom_fields) == ([], {})
    assert Page[Dataset].model_validate({"data": None}).data == []


def test_nan_is_accepted() -> None:
    value = MetricPoint.model_validate(json.loads('{"step": 3, "value": NaN}')).value
    assert value is not None and math.isnan(value)


def test_missing_fields_of_an_answer_are_fine() -> None:
    details = CustomizationStatusDetails.model_validate({"metrics": {"keys": ["train_loss"]}})
    assert details.status is None and details.status_logs == []


def test_only_what_was_set_is_sent() -> None:
    training = Hyperparameters(finetuning_type="lora", epochs=2, weight_decay=None)
    request = CustomizationJobRequest(config="a/b@v1", dataset="law/tags", hyperparameters=training)
    assert request.to_wire() == {
        "config": "a/b@v1",
        "dataset": "law/tags",
        "hyperparameters": {"finetuning_type": "lora", "epochs": 2, "weight_decay": None},
    }


def test_field_that_the_api_does_not_have_is_not_sent() -> None:
    body = {"config": "a/b@v1", "dataset": "d", "hyperparameters": {"finetuning_type": "lora"}, "prio": 1}
    with pytest.raises(ConfigurationError, match="prio"):
        CustomizationJobRequest.model_validate(body).to_wire()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_json_does_not_have_is_not_sent(value: float) -> None:
    training = Hyperparameters(finetuning_type="lora", learning_rate=value)
    request = CustomizationJobRequest(config="a/b@v1", dataset="d", hyperparameters=training)
    with pytest.raises(ConfigurationError, match=r"hyperparameters\.learning_rate"):
        request.to_wire()


def test_camel_case_is_read_and_written() -> None:
    assert PreuploadDecision.model_validate({"path": "a", "uploadMode": "lfs"}).upload_mode == "lfs"
    assert CommitInfo(commit_url="", commit_oid="0").to_wire() == {"commitUrl": "", "commitOid": "0"}


def test_integer_log_probabilities_with_a_null_first_token() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": [None], "text_offset": [0]}
    choice = {"index": 0, "text": "a", "logprobs": logprobs}
    read = Completion.model_validate({"choices": [choice]}).choices[0].logprobs
    assert read is not None and read.top_logprobs == [None]


def test_reference_of_text_model_and_map() -> None:
    assert reference("law/tags") == "law/tags"
    assert reference(Dataset(name="tags", namespace="law")) == "law/tags"
    assert reference({"name": "tags"}) == "default/tags"
    with pytest.raises(ConfigurationError):
        reference({"namespace": "law"})
