"""Copies from and to S3, over its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_s3 import small_s3

from lawtags_client.errors import LawtagsError
from lawtags_client.object_store import OnExisting, copy

KEY = "AKIASMALL"


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    held = {"law/in/questions 1.jsonl": b'{"title": "a"}\n' * 1000}
    with small_s3(held, KEY) as url:
        for name, value in (
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", "canary-of-s3"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            monkeypatch.setenv(name, value)
        yield held


def test_a_file_comes_from_the_bucket(objects: dict[str, bytes], tmp_path: Path) -> None:
    copy("s3://law/in/questions 1.jsonl", str(tmp_path / "questions.jsonl"))
    assert (tmp_path / "questions.jsonl").read_bytes() == objects["law/in/questions 1.jsonl"]


def test_a_file_goes_to_the_bucket(objects: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"r" * 6_000_000)
    copy(str(path), "s3://law/reports/gemma/report.html", on_existing=OnExisting.REPLACE)
    assert objects["law/reports/gemma/report.html"] == path.read_bytes()


def test_wrong_keys_are_named_without_the_secret(
    objects: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    with pytest.raises(LawtagsError) as found:
        copy("s3://law/in/questions 1.jsonl", str(tmp_path / "out"))
    assert "canary-of-s3" not in str(found.value)
    assert not (tmp_path / "out").exists()
