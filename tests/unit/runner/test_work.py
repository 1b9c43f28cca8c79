from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_stack.runner.work import RunnerWork, shared_storage


def test_ids_from_the_platform_do_not_become_paths(tmp_path: Path) -> None:
    for attempt in ("../../etc", "/etc", "a/b", "", "x" * 5000):
        work = RunnerWork(tmp_path, attempt)
        assert work.path.parent == tmp_path
        assert len(work.path.name) == 24


def test_a_full_disk_is_said_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = RunnerWork(tmp_path, "attempt")
    work.check_space(1)
    usage = shutil.disk_usage(tmp_path)._replace(free=300 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    work.check_space(1 << 20)
    with pytest.raises(
        ConfigurationError, match=r"has 0\.31 GB of free disk space, and the job needs"
    ) as full:
        work.check_space(1 << 30)
    assert "--dir" in str(full.value.hint)


def test_the_losses_of_all_validations_are_written_as_by_nvidia(tmp_path: Path) -> None:
    work = RunnerWork(tmp_path, "attempt")
    work.result.mkdir(parents=True)
    first = [
        {"event": "data", "steps": 4, "steps_per_epoch": 2},
        {"event": "train", "step": 1, "value": 2.0},
        {"event": "validation", "step": 1, "value": 1.9},
    ]
    second = [
        {"event": "validation", "step": 1, "value": 1.8},
        {"event": "train", "step": 3, "value": 1.0},
        {"event": "validation", "step": 3, "value": 1.1},
    ]
    lines = ["".join(json.dumps(event) + "\n" for event in events) for events in (first, second)]
    (work.path / "events-0.jsonl").write_text(lines[0] + '{"event": "trai')
    (work.path / "events-1.jsonl").write_text(lines[1])
    work.write_stats()
    found = json.loads((work.result / "checkpoint_stats.json").read_text())["checkpoints"]
    assert [(point["step"], point["epoch"], point["val_loss"]) for point in found] == [
        (2, 1, {"default": 1.8}),
        (4, 2, {"default": 1.1}),
    ]


def test_the_platforms_storage_is_found_below_its_root_and_nowhere_else(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "jobs" / "law").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    assert shared_storage(root, "/jobs/law") == root / "jobs" / "law"
    for given in ("/../outside", "/link", "/jobs/../../outside"):
        with pytest.raises(DataError, match="outside of --job-storage"):
            shared_storage(root, given)
    with pytest.raises(ConfigurationError, match="not a folder below"):
        shared_storage(root, "/jobs/other")
    with pytest.raises(ConfigurationError, match="keeps this job's files itself") as unknown:
        shared_storage(None, "/jobs/law")
    assert "--job-storage" in str(unknown.value.hint)
