"""Disk space: given back by pruning, and refused in words when there is none."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi

from lawtags_client.errors import BusyError, ConfigurationError
from lawtags_stack.prune import prune
from lawtags_stack.stack import StackThread
from lawtags_stack.store import Blobs
from lawtags_stack.store import blobs as blob_module

BIG = b"\0" * 2_000_000


def hub(stack: StackThread) -> HfApi:
    return HfApi(endpoint=f"{stack.data_store_url}/v1/hf", token="test")


def fill(stack: StackThread, repo: str, content: bytes) -> None:
    httpx.post(f"{stack.data_store_url}/v1/datastore/namespaces", json={"namespace": "law"})
    hub(stack).create_repo(repo, repo_type="dataset", exist_ok=True)
    hub(stack).upload_file(
        path_or_fileobj=content, path_in_repo="training/a.bin", repo_id=repo, repo_type="dataset"
    )


def test_pruning_removes_what_nothing_refers_to_and_nothing_else(tmp_path: Path) -> None:
    dir = tmp_path / "stack"
    with StackThread(dir) as stack:
        fill(stack, "law/kept", b"old" + BIG)
        fill(stack, "law/kept", b"new" + BIG)
        fill(stack, "law/gone", b"gone" + BIG)
        hub(stack).delete_repo("law/gone", repo_type="dataset")
        with pytest.raises(BusyError):
            prune(dir)
    for leftover in ("evaluator/eval-gone", "customizer/jobs/cust-gone/checkpoint", "nim/models/abc"):
        (dir / leftover).mkdir(parents=True)
        (dir / leftover / "file").write_bytes(b"1234")
    assert prune(dir, dry_run=True).blobs == 0  # uploaded just now: a commit may still come
    counted = prune(dir, kept=timedelta(0), dry_run=True)
    assert prune(dir, kept=timedelta(0)) == counted
    assert (counted.blobs, counted.blob_bytes) == (1, len(BIG) + 4)
    assert counted.trees >= 2
    assert counted.folders == 3
    assert prune(dir, kept=timedelta(0)).as_dict()["bytes"] == 0
    with StackThread(dir) as stack:
        for commit in hub(stack).list_repo_commits("law/kept", repo_type="dataset")[:2]:
            url = f"{stack.data_store_url}/v1/hf/datasets/law/kept/resolve/{commit.commit_id}/training/a.bin"
            assert httpx.get(url).content[3:] == BIG
        assert all(blob.sha256 for blob in stack.stack.services[0].state.blobs)


def test_only_a_stacks_folder_is_pruned(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        prune(tmp_path)


def test_the_command_says_what_it_removed(tmp_path: Path) -> None:
    with StackThread(tmp_path / "stack"):
        pass
    command = [sys.executable, "-m", "lawtags_client.cli.local", "prune", "--json", "--keep", "0"]
    done = subprocess.run([*command, "--dir", str(tmp_path / "stack")], capture_output=True, check=True)
    assert json.loads(done.stdout)["removed"] is True


def test_a_full_disk_is_a_507_and_partial_files_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = os.fsync, True

    def fsync(handle: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with StackThread(tmp_path / "stack") as stack:
        fill(stack, "law/rows", b"small")
        url = f"{stack.data_store_url}/v1/hf"
        before = httpx.get(f"{url}/api/datasets/law/rows").json()["sha"]
        monkeypatch.setattr(blob_module.os, "fsync", fsync)
        line = (
            '{"key":"header","value":{"summary":"s"}}\n{"key":"file","value":{"path":"b","content":"YQ=="}}'
        )
        refused = httpx.post(
            f"{url}/api/datasets/law/rows/commit/main",
            content=line,
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert (refused.status_code, refused.headers["x-should-retry"]) == (507, "false")
        assert "No space left" in refused.json()["detail"]
        digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
        assert httpx.put(f"{url}/lfs/{digest}/1", content=b"a").status_code == 507
        assert httpx.get(f"{url}/api/datasets/law/rows").json()["sha"] == before
        assert [*(tmp_path / "stack" / "blobs" / "incoming").iterdir()] == []
        full = False
        assert (
            httpx.post(
                f"{url}/api/datasets/law/rows/commit/main",
                content=line,
                headers={"Content-Type": "application/x-ndjson"},
            ).status_code
            == 200
        )


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="limits the size of files as Linux does")
def test_a_database_that_cannot_grow_is_a_507_and_keeps_its_content(tmp_path: Path) -> None:
    with StackThread(tmp_path / "stack") as stack:
        models = f"{stack.platform_url}/v1/models"
        assert httpx.post(models, json={"name": "first"}).status_code == 200
        database = stack.stack.services[0].state.repositories._database
        pages = database.row("PRAGMA page_count")[0]
        database.rows(f"PRAGMA max_page_count = {pages}")
        statuses = [httpx.post(models, json={"name": f"m{n}", "description": "d" * 4000}) for n in range(9)]
        assert 507 in {each.status_code for each in statuses}
        assert {each.status_code for each in statuses} <= {200, 507}
        kept = 1 + sum(each.status_code == 200 for each in statuses)
        listed: Any = httpx.get(models).json()["pagination"]["total_results"]
        database.rows("PRAGMA max_page_count = 1000000")
        assert httpx.post(models, json={"name": "last"}).status_code == 200
        assert listed == kept


def test_a_damaged_incoming_file_is_cleared_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "torn").write_bytes(b"x")
    assert [*Blobs(tmp_path)] == []
    assert [*(tmp_path / "incoming").iterdir()] == []
