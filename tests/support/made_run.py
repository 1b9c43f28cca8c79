"""A hand-written run folder, as the stages would write it, so that tests need no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lineage import Lineage, SourceFile
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.recipe import EvaluationSection, parse_recipe
from lawtags_client.runs.verdict import SYSTEMS, verdict

HOSTILE = "<script>alert(1)</script>\x1b[2J[/]\r\nfake line"
RECIPE = {"schema_version": 1, "name": "small", "model": {"config": "ns/model@v1"}}
LICENSE = "CC BY-SA 4.0"


def make_run(folder: Path, *, title: str = "A question", ids: Sequence[str] = ("a", "b", "c")) -> Path:
    """Write the folder of a completed run."""
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.set_fact("run_id", "0123456789ab")
    ledger.set_fact("recipe", parse_recipe(RECIPE).record())
    ledger.set_fact("data", ["/questions.jsonl"])
    for stage in ("curate", "predict", "evaluate", "report"):
        ledger.begin(stage, "digest")
        ledger.finish(stage, {"summary": {"rows": len(ids)}})
    tags = [frozenset({"contract-law", "landlord"}) for _ in ids]
    for part in ("training", "testing"):
        _write_rows(
            folder / "curated" / "questions" / f"{part}.jsonl",
            [
                {"id": id, "title": title, "body": title, "tags": sorted(tags[0]), "license": LICENSE}
                for id in ids
            ],
        )
    _write_rows(
        folder / "curated" / "rejected.jsonl", [{"id": "z", "step": "word_count", "reason": "too short"}]
    )
    for system in SYSTEMS:
        rows = [prediction(n, id, ["landlord"], scores={"landlord": 0.9}) for n, id in enumerate(ids)]
        write_predictions(folder, system, rows)
    given = [frozenset({"landlord"}) for _ in ids]
    metrics = verdict(tags, dict.fromkeys(SYSTEMS, given), EvaluationSection(bootstrap=100))
    series = {"train_loss": [{"step": 0, "value": 2.0}, {"step": 1, "value": None}]}
    _write(folder / "metrics.json", metrics.as_json())
    _write(
        folder / "customization.json",
        {"job": "cust-1", "output_model": "tests/tagger@lt-1", "metrics": series},
    )
    _write(
        folder / "curated" / "curation.json",
        {"steps": [{"name": "word_count", "rows_in": 4, "rows_out": 3, "seconds": 0.1}]},
    )
    _write(folder / "plan.json", PLAN)
    return folder


PLAN: dict[str, Any] = {
    "config": "ns/model@v1",
    "base_model": "ns/model",
    "rows": {"training": 3, "validation": 1, "testing": 3},
    "tokens": {"counter": "estimate", "training_total": 60, "longest": 20},
    "steps": 2,
    "rows_seen": 3,
    "hyperparameters": {"epochs": 1, "lora": {"adapter_dim": 8}},
    "output_model": "tests/tagger",
}
LINEAGE = Lineage(
    run="small",
    run_id="0123456789ab",
    started="2026-11-27T10:00:00+00:00",
    lawtags="1.2.3",
    recipe="small",
    recipe_digest="ab" * 32,
    sources=(SourceFile("questions.jsonl", "cd" * 32, 4, test=False),),
    curation="ef" * 32,
    dataset="tests/questions-efefefef",
    job="cust-1",
    model="tests/tagger@lt-1",
)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_rows(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
