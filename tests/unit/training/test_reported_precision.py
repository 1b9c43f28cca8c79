"""Jobs show the precision that is trained in, and how long that takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.service import StackOptions
from lawtags_stack.services.customizer.progress import applied
from lawtags_stack.services.customizer.records import (
    ConfigSnapshotRecord,
    JobDetails,
    JobFields,
    JobRecord,
    JobWork,
)
from lawtags_stack.services.customizer.training import trainer_job
from lawtags_stack.stack import StackThread

NOW = "2025-11-02T10:00:00.000000"


def stored(snapshot: str | None, asked: str | None) -> JobRecord:
    job = JobFields(
        id="cust-1",
        namespace="law",
        created_at=NOW,
        updated_at=NOW,
        config="law/tagger@v1",
        config_snapshot=ConfigSnapshotRecord(base_model="law/base", precision=snapshot, max_seq_length=64),
        dataset="law/rows",
        hyperparameters={
            "training_type": "sft", "finetuning_type": "all_weights", "epochs": 1, "batch_size": 8,
            "learning_rate": 1e-4, "weight_decay": None, "val_check_interval": 1.0, "lora": None,
        },
        status="created",
    )  # fmt: skip
    work = JobWork(target="law/base@v1", files_url="hf://datasets/law/rows", precision=asked)
    return JobRecord(job, JobDetails(NOW, NOW), work)


@pytest.mark.parametrize(
    ("asked", "precision"), [("fp32", "float32"), ("bf16-mixed", "auto"), ("bf16", "auto"), (None, "auto")]
)
def test_a_config_without_a_precision_leaves_it_to_the_device(
    tmp_path: Path, asked: str | None, precision: str
) -> None:
    # The weights of the target are fp32 in each case.
    job = trainer_job(stored("fp32", asked), tmp_path, ["training.jsonl"], ["validation.jsonl"])
    assert job.precision == precision


@pytest.mark.parametrize("asked", ["bf16-mixed", "fp8-mixed", "fp32", None])
@pytest.mark.parametrize("used", ["fp32", "bf16-mixed"])
def test_a_job_shows_the_precision_that_its_trainer_reports(asked: str | None, used: str) -> None:
    event: TrainerEvent = {
        "event": "phase", "at": NOW, "name": "Training", "detail": "on a device", "precision": used,
    }  # fmt: skip
    record = stored(asked, asked)
    found = applied(record, [event], datetime.now(UTC))
    assert found.job.config_snapshot == replace(record.job.config_snapshot, precision=used)
    assert found.work.precision == asked
    later: TrainerEvent = {"event": "progress", "at": NOW, "steps": 1, "epochs": 0}
    assert applied(found, [later], datetime.now(UTC)).job.config_snapshot.precision == used


@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp32"), ("auto", None)])
def test_a_seeded_config_names_a_precision_only_if_the_device_is_known(
    tmp_path: Path, device: str, precision: str | None
) -> None:
    options = StackOptions(device=device)
    with (
        StackThread(tmp_path, options=options) as stack,
        httpx.Client(base_url=stack.platform_url) as http,
    ):
        found = http.get("/v1/customization/configs").json()["data"]
        assert found and {config.get("training_precision") for config in found} == {precision}


def test_the_time_of_a_training_does_not_fall_when_the_clock_is_set_back() -> None:
    record = stored(None, None)
    record = replace(record, work=replace(record.work, started_at=NOW))
    begun = datetime.fromisoformat(NOW).replace(tzinfo=UTC)
    seen = []
    for seconds in (-3600, 10, 20, -3580, 30):
        record = applied(record, [], begun + timedelta(seconds=seconds))
        seen.append(record.details.elapsed_time)
    assert seen == [0.0, 10.0, 20.0, 20.0, 30.0]
