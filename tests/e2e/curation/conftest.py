from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

TOPICS = {
    "copyright": ("photograph", "publish", "licence"),
    "contract-law": ("agreement", "signature", "breach"),
    "landlord": ("deposit", "lease", "repair"),
    "criminal-law": ("arrest", "evidence", "theft"),
}


@pytest.fixture(scope="session", autouse=True)
def _curation_is_installed() -> None:
    # Found, not imported: that takes seconds, and few tests need it.
    if importlib.util.find_spec("nemo_curator") is None:
        pytest.skip("needs the extra 'curate'")


@pytest.fixture
def questions() -> list[dict[str, Any]]:
    """Made-up questions in the schema of Stack Exchange dumps, each with something to clean."""
    random.seed(7)
    rows = []
    for number in range(80):
        tag = list(TOPICS)[number % len(TOPICS)]
        words = " ".join(random.choices(TOPICS[tag], k=6)) + f" matter {number} of {number * 7}"
        filler = " ".join(f"word{random.randrange(5000)}" for _ in range(25))
        rows.append(
            {
                "question_id": 1000 + number,
                "question_title": f"What about the {words}?",
                "question_body": f"<p>My question is about {words}, {filler}.</p>"
                f"<ul><li>§{number + 1}</li></ul>",
                "tags": [tag, "united-states"],
                "score": number % 9,
                "created": f"2020-01-{number % 28 + 1:02}T00:00:00",
                "link": f"https://example.com/{number}",
                "license": "CC0",
                "answers": [{"body": "Yes."}],
            }
        )
    return rows


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows, or lines as they are, to a file."""

    def write_rows(rows: Iterable[Mapping[str, Any] | bytes], name: str = "questions.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write_rows
