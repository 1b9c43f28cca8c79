from __future__ import annotations

from typing import Any

from lawtags_client.cli.local_status import lines, usage


def report(**changes: Any) -> dict[str, Any]:
    job = {
        "id": "cust-1",
        "status": "running",
        "output_model": "law/tagger@v2",
        "steps_completed": 40,
        "percentage_done": 0.0,
        "steps": 80,
    }
    services = {
        "data_store": {"repositories": {"dataset": 2, "model": 1}, "blob_bytes": 5},
        "entity_store": {"datasets": 2, "models": ["law/tagger@v1", "law/tagger@v2"]},
        "deployments": {"deployments": {"law/whole": ["law/whole@v1"]}},
        "customizer": {"jobs": [job], "jobs_by_state": {"completed": 1, "running": 1}},
        "nim": {
            "models": 2,
            "served": ["base/tiny", "law/tagger@v1"],
            "workers": {"base/tiny": 77, "base/new": 78},
            "computing": {"base/tiny": "float32 by oneDNN on the CPU", "base/new": None},
        },
        "evaluator": {"unfinished": [], "jobs_by_state": {}},
    }
    return {
        "running": True,
        "platform_url": "http://127.0.0.1:8600",
        "data_store_url": "http://127.0.0.1:8601",
        "inference_url": "http://127.0.0.1:8602",
        "pid": 5,
        "started": "2026-01-01T00:00:00Z",
        "dir": "/stack",
        "disk_bytes": 3_500_000,
        "disk": {"database": 1_000_000, "blobs": 2_500_000},
        "services": services,
        **changes,
    }


def test_jobs_models_and_disk_are_told() -> None:
    said = "\n".join(lines(report()))
    for expected in (
        "platform     http://127.0.0.1:8600",
        "trainings    1 completed, 1 running",
        "             cust-1  running     step 40 of 80, 50 %  law/tagger@v2",
        "evaluations  none",
        "served       base/tiny, law/tagger@v1",
        "not served   law/tagger@v2",
        "loaded       base/tiny (process 77, float32 by oneDNN on the CPU), base/new (process 78, loading)",
        "deployment   law/whole: law/whole@v1",
        "disk         3.5 MB in /stack",
    ):
        assert expected in said
    assert said.index("2.5 MB  blobs") < said.index("1.0 MB  database")


def test_stack_that_is_starting_or_stopped_is_told() -> None:
    starting = {
        key: value for key, value in report().items() if key in ("running", "dir", "disk_bytes", "disk")
    }
    assert any(line.split() == ["state", "starting"] for line in lines(starting))
    assert [*lines(report(running=False))] == ["No stack is running in /stack (3.5 MB on disk)."]


def test_use_of_a_stack_names_its_addresses_and_that_it_wants_a_token() -> None:
    said = list(usage(report(), here=True, token=False))
    assert "--profile local" in said[0]
    assert said[1:] == [
        "export LAWTAGS_PLATFORM_URL=http://127.0.0.1:8600",
        "export LAWTAGS_DATA_STORE_URL=http://127.0.0.1:8601",
        "export LAWTAGS_INFERENCE_URL=http://127.0.0.1:8602",
    ]
    guarded = list(usage(report(), here=False, token=True))
    assert "--profile" not in guarded[0] and "LAWTAGS_TOKEN" in guarded[-1]
