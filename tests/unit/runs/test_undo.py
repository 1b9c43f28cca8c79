"""What a run is said to have on its platform, and what other runs need there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.platform import Platform, PlatformDataset
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import CurateOutput, CustomizeOutput, UploadOutput
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.stage import RunContext
from lawtags_client.runs.stages.upload import Upload
from lawtags_client.runs.undo import plan_undo


def made(folder: Path, dataset: str | None = None, model: str | None = None) -> Path:
    """A run that has finished uploading, and training."""
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.set_fact("run_id", folder.name)
    if dataset is not None:
        ledger.begin("upload", "digest")
        ledger.finish("upload", asdict(UploadOutput(dataset=dataset, files_url="hf://x")))
    if model is not None:
        ledger.begin("customize", "digest")
        ledger.finish("customize", asdict(CustomizeOutput(job="cust-1", output_model=model)))
    return folder


def planned(folder: Path) -> tuple[set[str | None], set[str]]:
    found = plan_undo(folder, {})
    return {item.name for item in found.items}, {item.name for item in found.shared}


class Offline:
    """A platform whose uploads fail."""

    async def upload(
        self, name: str, curated: Path, *, on_bytes: Callable[[int, int], None]
    ) -> PlatformDataset:
        raise DataError("the connection is gone")


async def upload(folder: Path, digest: str) -> None:
    content = {"schema_version": 1, "name": "a", "model": {"config": "a/b@c"}, "dataset": {"name": "law/q"}}
    ledger = Ledger(folder / "ledger.sqlite")
    context = RunContext(
        folder, parse_recipe(content), (), None, cast(Platform, Offline()), ledger, LoggedProgress()
    )
    context.outputs["curate"] = CurateOutput(digest=digest)
    with pytest.raises(DataError):
        await Upload().run(context)


async def test_an_upload_that_never_ended_is_undone_too(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one")
    await upload(run, "1" * 64)
    await upload(run, "2" * 64)
    assert planned(run) == ({"law/q-11111111", "law/q-22222222"}, set())


async def test_the_upload_of_data_that_changed_later_is_undone_with_the_last_one(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one", dataset="law/q-33333333")
    await upload(run, "1" * 64)
    assert planned(run) == ({"law/q-11111111", "law/q-33333333"}, set())
    other = made(tmp_path / "runs" / "two", dataset="law/q-11111111")
    # The first run has replaced it, so only the second one needs it.
    assert planned(other) == ({"law/q-11111111"}, set())
    assert planned(run) == ({"law/q-33333333"}, {"law/q-11111111"})


async def test_an_upload_that_may_be_under_way_is_needed(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one")
    await upload(run, "1" * 64)
    assert planned(made(tmp_path / "runs" / "two", dataset="law/q-11111111")) == (set(), {"law/q-11111111"})


def test_what_a_trial_of_a_sweep_needs_stays_and_the_other_way(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one", dataset="law/q", model="law/m@1")
    trial = made(tmp_path / "runs" / "sweeps" / "s" / "trials" / "t-1", dataset="law/q", model="law/m@2")
    assert planned(run) == ({"law/m@1"}, {"law/q"})
    assert planned(trial) == ({"law/m@2"}, {"law/q"})
    Ledger(run / "ledger.sqlite").set_fact("undone", {"at": "2026-11-28T10:00:00+00:00"})
    assert planned(trial) == ({"law/m@2", "law/q"}, set())


def test_a_run_that_is_being_removed_needs_nothing(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one", dataset="law/q")
    made(tmp_path / "runs" / ".two.removed", dataset="law/q")
    assert planned(run) == ({"law/q"}, set())


def test_a_run_behind_a_link_does_not_need_what_it_made_itself(tmp_path: Path) -> None:
    made(tmp_path / "disk" / "one", dataset="law/q")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    assert planned(tmp_path / "runs" / "one") == ({"law/q"}, set())


def test_nothing_is_removed_while_the_needs_of_another_run_cannot_be_read(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "one", dataset="law/q")
    (tmp_path / "runs" / "two").mkdir()
    (tmp_path / "runs" / "two" / "ledger.sqlite").write_bytes(b"no ledger" * 100)
    with pytest.raises(ConfigurationError, match="what run 'two' needs") as caught:
        plan_undo(run, {})
    assert "runs rm two --keep-on-platform" in str(caught.value.hint)
