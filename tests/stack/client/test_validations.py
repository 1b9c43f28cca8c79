"""What a training's validations take, as a command sees it that has only the job's id."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from client_kit import Script, StillTime, client

from lawtags_client import NeMo
from lawtags_client.platform.validations import HELD_OUT_SHARE, validation_share
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.types.customizer import CustomizationJob


def job(dataset: object) -> CustomizationJob:
    return CustomizationJob.model_validate({"id": "cust-1", "dataset": dataset})


async def test_the_share_of_validation_rows_follows_from_the_files_of_the_dataset(
    nemo: NeMo, curated: Path
) -> None:
    await nemo.data_store.upload_dataset("share/tags", curated)
    for dataset in ("share/tags", "hf://datasets/share/tags", "share/tags@main"):
        # 6 of 24 rows, of about the same length.
        assert await validation_share(nemo, job(dataset)) == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("dataset", ["share/absent", "no-dataset", "../x", "", None])
async def test_files_that_cannot_be_listed_count_as_held_out(nemo: NeMo, dataset: object) -> None:
    assert await validation_share(nemo, job(dataset)) == HELD_OUT_SHARE


async def test_a_dataset_without_validation_files_has_rows_held_out(nemo: NeMo, curated: Path) -> None:
    await nemo.data_store.prepare(Repository.of("share/training-only"))
    await nemo.data_store.upload_files(
        "share/training-only", {"training/a.jsonl": curated / "training" / "training.jsonl"}
    )
    assert await validation_share(nemo, job("share/training-only")) == HELD_OUT_SHARE


async def test_a_data_store_that_is_out_of_reach_is_asked_once(tmp_path: Path) -> None:
    script, time = Script([httpx.Response(503)]), StillTime()
    assert await validation_share(client(script, tmp_path, time), job("share/tags")) == HELD_OUT_SHARE
    assert len(script.requests) == 1 and not time.slept
