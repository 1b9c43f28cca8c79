"""Runs of a small recipe through the command line, against an embedded stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import Signals
from typing import Any

import httpx
import yaml

from lawtags_stack.stack import StackThread

BASE = "tests/tiny"
LAWTAGS = Path(sys.executable).with_name("lawtags")
SECRET = "canary-3f9d1c"
RECIPE = {
    "schema_version": 1,
    "name": "tiny",
    "model": {"config": f"{BASE}@v1.0.0+cpu", "output": "tests/tagger"},
    "dataset": {"name": "tests/questions"},
    # Names are not masked: that takes a minute, and has its own tests. The tiny model's context is 512 of its
    # own tokens, which are shorter than estimated.
    "curation": {"pii": {"entities": ["EMAIL_ADDRESS", "URL"]}, "style": {"max_tokens": 130}},
    # Embeddings have their own tests, too.
    "retriever": {"encoder": "none"},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_steps": 6, "log_every_n_steps": 1},
    "evaluation": {"bootstrap": 100, "platform_rows": 4},
    "hardware": {"price_per_machine_hour": 0.36, "currency": "EUR"},
    "wait": {"training": 300, "served": 60, "evaluation": 120},
}


def environment(stack: StackThread) -> dict[str, str]:
    return os.environ | {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
        "LAWTAGS_INFERENCE_URL": stack.inference_url,
        "LAWTAGS_TOKEN": SECRET,
    }


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes))
    return path


def lawtags(stack: StackThread, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAWTAGS, *words], cwd=folder, env=environment(stack), capture_output=True, text=True, timeout=400
    )


def content_of(folder: Path) -> dict[Path, bytes]:
    """All files of a folder, except those that locks and SQLite manage."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path: path.read_bytes() for path in files if path.name != "lock" and "ledger.sqlite" not in path.name
    }


def jobs_of(stack: StackThread, model: str) -> list[dict[str, Any]]:
    listed = httpx.get(f"{stack.platform_url}/v1/customization/jobs", params={"page_size": 100}).json()[
        "data"
    ]
    return [job for job in listed if (job["output_model"] or "").startswith(f"{model}@")]


def ended_at(
    has_come: Callable[[], bool], end: Signals, stack: StackThread, folder: Path, *words: str | Path
) -> int:
    """Start a command and signal it at some moment; returns its exit code."""
    with subprocess.Popen(
        [LAWTAGS, *words],
        cwd=folder,
        env=environment(stack),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 200
        while not has_come():
            assert time.monotonic() < deadline
            assert process.poll() is None, "the command ended before it was killed"
            time.sleep(0.02)
        process.send_signal(end)
        return process.wait(timeout=5)


def answers_of(path: Path) -> dict[str, Any]:
    """Tags and scores by question."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return {row["id"]: (row["tags"], row["scores"], row["error"], row["held"]) for row in rows}


def same_answers(stack: StackThread, folder: Path, run: str, raw: Path) -> int:
    """Tag a run's raw rows, check that the results match its test rows, and return their number."""
    out = folder / f"{run}-again.jsonl"
    tagged = lawtags(stack, folder, "tag", raw, "--out", out, "--run", run)
    assert tagged.returncode == 0, tagged.stderr
    judged = answers_of(folder / "runs" / run / "predictions-tagger.jsonl")
    again = answers_of(out)
    assert {question: again[question] for question in judged} == judged
    return len(judged)


def counted_by(base: Path, **model: str) -> dict[str, Any]:
    """Parts of a recipe whose prompts are truncated by a model's tokenizer."""
    return {
        "model": RECIPE["model"] | {"tokenizer": str(base)} | model,  # type: ignore[operator]
        "curation": RECIPE["curation"] | {"style": {"max_tokens": 96}},  # type: ignore[operator]
    }
