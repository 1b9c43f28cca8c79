"""A failed job's error with its cause: one line, since line ends in messages are shown escaped."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lawtags_client import NeMo
from lawtags_client.errors import JobFailedError
from lawtags_client.platform import diagnosis


@pytest.mark.parametrize(("hint", "end"), [("Submit it again.", "; Submit it again."), (None, "NAME=FOLDER")])
async def test_cause_and_hint_are_one_line(
    monkeypatch: pytest.MonkeyPatch, hint: str | None, end: str
) -> None:
    class Found:
        causes = ("No weights. Offer them: lawtags local up --base-model NAME=FOLDER",)

    async def diagnose(*_: Any) -> Found:
        return Found()

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    problem = JobFailedError("it failed", job_id="cust-1", hint=hint)
    told = await diagnosis.explained(cast(NeMo, None), "cust-1", problem)
    assert told.hint is not None
    assert "\n" not in told.hint
    assert told.hint.startswith("No weights.") and told.hint.endswith(end)
