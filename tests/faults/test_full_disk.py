"""A disk that is really full: a stack in a file system of some megabytes, with ballast to throw out."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny_models import make_model, write_rows
from training_stack import BASE, CONFIG, FAST, ended, wait

MEGABYTES, BALLAST = 12, 6


def can_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted for a test here")


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A stack on a small disk.

    Args:
        address: where it answers.
        folder: the disk, as this process can reach it.
        process: the stack's.
    """

    address: dict[str, Any]
    folder: Path
    process: subprocess.Popen[str]

    @property
    def hub(self) -> str:
        """The Data Store's API of a hub."""
        return f"{self.address['data_store_url']}/v1/hf"

    def commit(self, path: str, content: bytes) -> int:
        """Upload a file into ``law/rows``; the status of what did not succeed, or that of the commit."""
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        with httpx.Client(timeout=30) as http:
            sent = http.put(f"{self.hub}/lfs/{digest}/{size}", content=content)
            if sent.status_code != 200:
                return sent.status_code
            lines = [
                {"key": "header", "value": {"summary": "add"}},
                {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": digest, "size": size}},
            ]
            body = "\n".join(map(json.dumps, lines))
            return http.post(
                f"{self.hub}/api/datasets/law/rows/commit/main",
                content=body,
                headers={"Content-Type": "application/x-ndjson"},
            ).status_code

    def fill(self) -> dict[str, bytes]:
        """Upload until nothing goes in any more, in smaller and smaller files; what was acknowledged."""
        kept: dict[str, bytes] = {}
        for size in (400_000, 40_000, 4_000, 400):
            for number in range(1000):
                path, content = f"filling/{size}-{number}", f"{size} {number}".encode().ljust(size)
                status = self.commit(path, content)
                if status != 200:
                    assert status == 507
                    break
                kept[path] = content
        return kept

    def throw_out_ballast(self) -> None:
        """Make room."""
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    base_model = make_model(tmp_path / "base")
    mount = tmp_path / "disk"
    mount.mkdir()
    script = (
        f'mount -t tmpfs -o size={MEGABYTES}m tmpfs "$0" && '
        f'head -c {BALLAST}000000 /dev/zero > "$0/ballast" && exec "$@"'
    )
    stack = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--json", "--port", "0"]
    stack += ["--dir", str(mount / "stack"), "--base-model", f"{BASE}={base_model}"]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(mount), *stack]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        # The disk is mounted for that process alone; this is the way in.
        seen = Path(f"/proc/{address['pid']}/root{mount}")
        made = SmallDisk(address, seen, process)
        with httpx.Client(timeout=30) as http:
            http.post(f"{address['platform_url']}/v1/namespaces", json={"id": "law"}).raise_for_status()
            names = {"name": "rows", "organization": "law", "type": "dataset"}
            http.post(
                f"{address['data_store_url']}/v1/datastore/namespaces", json={"namespace": "law"}
            ).raise_for_status()
            http.post(f"{made.hub}/api/repos/create", json=names).raise_for_status()
        yield made
    finally:
        process.kill()
        process.communicate()


def test_full_disk_rejects_what_does_not_fit_and_keeps_the_rest(disk: SmallDisk, tmp_path: Path) -> None:
    kept = disk.fill()
    assert len(kept) > 3
    # A write that needs but a row is refused as well, sooner or later; and never half done.
    platform = disk.address["platform_url"]
    projects = {}
    with httpx.Client(base_url=platform, timeout=30) as http:
        for number in range(400):
            name = f"p{number}"
            projects[name] = http.post("/v1/projects", json={"name": name, "description": "d" * 2000})
            if projects[name].status_code == 507:
                break
        assert projects[name].headers["x-should-retry"] == "false"
        assert {each.status_code for each in projects.values()} <= {200, 507}
        listed = http.get("/v1/projects", params={"page_size": 1000}).json()["data"]
        made = {name for name, answer in projects.items() if answer.status_code == 200}
        assert {each["name"] for each in listed} == made
    assert_whole(disk, kept)
    disk.throw_out_ballast()
    assert disk.commit("filling/after", b"room again") == 200
    assert_whole(disk, kept | {"filling/after": b"room again"})
    assert [*(disk.folder / "stack" / "blobs" / "incoming").iterdir()] == []


def assert_whole(disk: SmallDisk, kept: dict[str, bytes]) -> None:
    listed = httpx.get(f"{disk.hub}/api/datasets/law/rows/tree/main", params={"recursive": True}, timeout=30)
    assert {each["path"] for each in listed.json() if each["type"] == "file"} == set(kept)
    for path, content in kept.items():
        assert httpx.get(f"{disk.hub}/datasets/law/rows/resolve/main/{path}", timeout=30).content == content


def test_training_on_a_full_disk_fails_with_a_reason_and_the_next_one_completes(
    disk: SmallDisk, tmp_path: Path
) -> None:
    for part, count, start in (("training", 24, 0), ("validation", 6, 24)):
        write_rows(tmp_path / f"{part}.jsonl", count, start=start)
        assert disk.commit(f"{part}/rows.jsonl", (tmp_path / f"{part}.jsonl").read_bytes()) == 200
    # Room for the job itself, but not for a checkpoint of some hundred kilobytes.
    body = {
        "config": CONFIG,
        "dataset": "hf://datasets/law/rows",
        "hyperparameters": FAST | {"epochs": 20, "lora": {"adapter_dim": 256}},
    }
    ballast = disk.folder / "more"
    with httpx.Client(base_url=disk.address["platform_url"], timeout=30) as http:
        with ballast.open("wb") as stream:
            stream.write(bytes(free_bytes(disk.folder) - 300_000))
        job = http.post("/v1/customization/jobs", json=body).json()["id"]
        status = wait(http, job, ended)
        assert status["status"] == "failed", status
        assert "no space is left on the disk" in status["status_logs"][-1]["detail"]
        ballast.unlink()
        disk.throw_out_ballast()
        again = http.post("/v1/customization/jobs", json=body | {"output_model": "law/tagger@v1"}).json()
        status = wait(http, again["id"], ended)
        assert status["status"] == "completed", status


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def test_a_ledger_on_a_full_disk_says_that_the_disk_is_full(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from lawtags_client.errors import DataError
from lawtags_client.runs.ledger import Ledger
disk = Path(sys.argv[1])
ledger = Ledger(disk / "ledger.sqlite")
try:
    with (disk / "ballast").open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass
except OSError:
    pass
try:
    for number in range(100):
        ledger.set_fact(f"fact {number}", "x" * 4096)
except DataError as problem:
    print(problem.hint)
"""
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$1" -c "$2" "$0"'
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            tmp_path,
            sys.executable,
            code,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "Its disk is full. Free some space, then repeat the command.\n", done.stderr
