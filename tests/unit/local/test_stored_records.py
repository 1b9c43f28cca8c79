"""What earlier releases have stored can be read, changed and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_stack.service import StackOptions
from lawtags_stack.services.customizer import records as customizer
from lawtags_stack.services.evaluator import records as evaluator
from lawtags_stack.stack import DATABASE_FILE, StackThread
from lawtags_stack.store import Database, Documents
from lawtags_stack.store.codec import Codec, UnreadableRecordError

NOW = "2025-11-02T10:00:00.000000"

# As the first release with a Customizer wrote it: no counts of lost starts, and a field that is gone.
TRAINING: dict[str, Any] = {
    "job": {
        "id": "cust-1", "namespace": "default", "created_at": NOW, "updated_at": NOW,
        "config": "meta/llama@v1", "dataset": "law/tags", "output_model": None, "status": "completed",
        "config_snapshot": {"base_model": "meta/llama", "max_seq_length": 512, "precision": "fp32"},
        "hyperparameters": {
            "training_type": "sft", "finetuning_type": "lora", "epochs": 2, "batch_size": 8,
            "learning_rate": 1e-4, "weight_decay": None, "val_check_interval": 1.0, "lora": None,
        },
        "a_field_that_is_gone": 1,
    },
    "details": {
        "created_at": NOW, "updated_at": NOW, "elapsed_time": 3.5, "percentage_done": 100.0,
        "epochs_completed": 2, "steps_completed": 4,
        "status_logs": [{"updated_at": NOW, "message": "created"}],
    },
    "work": {"target": "meta/llama@v1", "files_url": "hf://datasets/law/tags", "crashes": 0, "attempts": 1},
}  # fmt: skip
EVALUATION: dict[str, Any] = {
    "created_at": NOW, "updated_at": NOW, "id": "eval-1", "namespace": "default", "status": "completed",
    "target": {"type": "rows", "rows": [{"output": "a"}]}, "result": "evaluation_result-1",
    "config": {"type": "custom", "tasks": {}}, "status_details": {"message": None, "task_status": {}},
}  # fmt: skip


def test_jobs_of_an_earlier_release_are_shown(tmp_path: Path) -> None:
    database = Database(tmp_path / DATABASE_FILE)
    Documents(database, customizer.JOBS_TABLE).insert("cust-1", TRAINING)
    Documents(database, evaluator.JOBS_TABLE).insert("eval-1", EVALUATION)
    database.close()
    with (
        StackThread(tmp_path, options=StackOptions()) as stack,
        httpx.Client(base_url=stack.platform_url) as http,
    ):
        job = http.get("/v1/customization/jobs/cust-1").json()
        assert job["status_details"]["steps_completed"] == 4 and job["warnings"] is None
        assert isinstance(job["hyperparameters"]["val_check_interval"], float)
        listed = http.get("/v1/customization/jobs?filter[epochs]=2").json()["data"]
        assert [each["id"] for each in listed] == ["cust-1"]
        shown = http.get("/v1/evaluation/jobs/eval-1").json()
        assert shown["result"] == "evaluation_result-1" and "starts" not in shown
        assert "samples_processed" not in shown["status_details"]


def test_a_record_survives_a_change_and_the_database() -> None:
    job = customizer.JOB.read(TRAINING)
    moved = job.moved("failed", "failed", "2026-01-01T00:00:00.000000", "out of memory")
    again = customizer.JOB.read(json.loads(json.dumps(customizer.JOB.write(moved))))
    assert again == moved and again.details.status_logs[-1].detail == "out of memory"
    assert again.job.updated_at == again.details.updated_at != job.job.updated_at


@given(
    interval=st.one_of(st.integers(1, 1000), st.floats(0.001, 1.0), st.just(1.0)),
    extra=st.dictionaries(
        st.text(), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
    ),
)
def test_open_json_in_a_record_keeps_its_types(interval: float, extra: dict[str, Any]) -> None:
    job = customizer.JOB.read(TRAINING)
    hyperparameters = {**job.job.hyperparameters, "val_check_interval": interval, "extra": extra}
    changed = replace(job, job=replace(job.job, hyperparameters=hyperparameters))
    written: Any = json.loads(json.dumps(customizer.JOB.write(changed)))
    found = written["job"]["hyperparameters"]
    assert found == hyperparameters
    assert type(found["val_check_interval"]) is type(interval)
    assert [type(each) for each in found["extra"].values()] == [type(each) for each in extra.values()]


@pytest.mark.parametrize("broken", [{"work": None}, {"job": {}}, {"details": {"created_at": 5}}])
def test_what_cannot_be_read_names_the_field_and_is_no_fault_of_the_caller(broken: dict[str, Any]) -> None:
    with pytest.raises(UnreadableRecordError, match=f"JobRecord: {next(iter(broken))}") as raised:
        Codec(customizer.JobRecord).read({**TRAINING, **broken})
    assert raised.value.status == 500 and raised.value.hint
