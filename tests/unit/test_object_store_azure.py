"""Copies from and to Azure Blob Storage, over its protocol."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_azure import ACCOUNT, small_azure

ROWS = b'{"title": "a"}\n' * 1000
SECRET = "canary-of-azure"


@pytest.fixture
def held() -> dict[str, bytes]:
    return {"law/in/questions 1.jsonl": ROWS, "law/in/more/§ 2.jsonl": b"{}"}


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def environment(held: dict[str, bytes], asked: list[str]) -> Iterator[dict[str, str]]:
    """That of a process which is sent to the server; pyarrow blocks the threads of its own process."""
    with small_azure(held, asked) as url:
        yield os.environ | {
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(SECRET.encode()).decode(),
        }


def copy(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from lawtags_client.cli import main; main()", "copy", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_folder_comes_from_the_bucket_and_a_file_goes_there(
    environment: dict[str, str], held: dict[str, bytes], asked: list[str], tmp_path: Path
) -> None:
    assert copy(environment, "az://law/in", str(tmp_path / "in")).returncode == 0
    assert (tmp_path / "in" / "questions 1.jsonl").read_bytes() == ROWS
    assert (tmp_path / "in" / "more" / "§ 2.jsonl").read_bytes() == b"{}"

    report = tmp_path / "report.html"
    report.write_bytes(b"r" * 6_000_000)
    words = (str(report), "az://law/reports/gemma/report.html")
    assert copy(environment, *words).returncode == 0
    assert held["law/reports/gemma/report.html"] == report.read_bytes()
    again = copy(environment, *words)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
    assert SECRET not in "".join(asked)
    assert environment["AZURE_STORAGE_ACCOUNT_KEY"] not in "".join(asked)


def test_what_is_not_in_the_bucket_is_named_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    for address in ("az://law/nothing.jsonl", "az://no-such-bucket/x"):
        found = copy(environment, address, str(tmp_path / "out"))
        assert found.returncode == 2
        assert f"{address}: does not exist" in found.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"AZURE_STORAGE_ACCOUNT_NAME": ""}, 2, "Set AZURE_STORAGE_ACCOUNT_NAME"),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "no base64"}, 1, "Check the address, the keys"),
        ({"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9"}, 1, "could not be copied"),
    ],
)
def test_a_store_that_cannot_be_used_is_not_an_empty_one(
    change: dict[str, str], code: int, said: str, environment: dict[str, str], tmp_path: Path
) -> None:
    found = copy(environment | change, "az://law/in", str(tmp_path / "out"))
    assert found.returncode == code
    assert said in found.stderr
    assert not (tmp_path / "out").exists()


def test_the_published_files_of_a_run_go_to_the_bucket(
    environment: dict[str, str], held: dict[str, bytes], tmp_path: Path
) -> None:
    run = tmp_path / "gemma-2-2b"
    run.mkdir()
    for name in ("report.html", "metrics.json", "ledger.sqlite"):
        (run / name).write_text(name)
    code = (
        "import sys; from pathlib import Path; from lawtags_client.runs.publication import *\n"
        "print(publish_run(Path(sys.argv[1]), publication_target('az://law/reports/')))"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, run], env=environment, capture_output=True, text=True
        )
        assert (done.stdout, done.returncode) == ("az://law/reports/gemma-2-2b\n", 0), done.stderr
    published = {name for name in held if name.startswith("law/reports/")}
    assert published == {f"law/reports/gemma-2-2b/{name}" for name in ("report.html", "metrics.json")}
