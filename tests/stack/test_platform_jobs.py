"""Evaluations of the second version, by the official SDK."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from nemo_microservices import BadRequestError, NeMoMicroservices, NotFoundError
from served_stack import wait_for

from lawtags_stack.stack import StackThread

FINAL = ("completed", "error", "cancelled")
ROWS = [{"output": "a", "reference": "a"}, {"output": "b", "reference": "a"}]


def spec(check: str = "{{reference}}", **target: Any) -> Any:
    metric = {"type": "string-check", "params": {"check": ["{{output}}", "equals", check]}}
    return {
        "config": {"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"check": metric}}}},
        "target": {"type": "rows", "rows": ROWS, **target},
    }


@pytest.fixture
def sdk(stack: StackThread) -> Iterator[NeMoMicroservices]:
    with NeMoMicroservices(base_url=stack.platform_url, max_retries=0) as client:
        yield client


def finished(sdk: NeMoMicroservices, job_id: Any) -> Any:
    jobs = sdk.v2.evaluation.jobs
    wait_for(lambda: jobs.retrieve(job_id).status in FINAL)
    return jobs.retrieve(job_id)


def test_the_official_sdk_evaluates_by_platform_jobs(sdk: NeMoMicroservices) -> None:
    jobs = sdk.v2.evaluation.jobs
    job = jobs.create(name="v2-whole", project="p", spec=spec(), custom_fields={"token": "t"})
    assert (job.id or "").startswith("job-")
    assert job.status == "created"
    done = finished(sdk, job.id)
    assert (done.status, done.custom_fields, done.error_details) == ("completed", {"token": "t"}, None)
    assert done.spec.target.rows == ROWS
    status = jobs.status.retrieve(str(job.id))
    assert (status.status, status.steps[0].name, status.steps[0].tasks[0].status) == (
        "completed", "evaluation", "completed",
    )  # fmt: skip
    results = jobs.results
    assert [each.result_name for each in results.list(str(job.id)).data] == [
        "evaluation-results",
        "artifacts",
    ]
    named = results.retrieve("artifacts", job_id=str(job.id))
    assert named.artifact_url.endswith(f"/v2/evaluation/jobs/{job.id}/results/artifacts/download")
    scores = results.evaluation_results.retrieve(str(job.id)).to_dict()
    assert scores["tasks"]["qa"]["metrics"]["check"]["scores"]["string-check"]["value"] == 0.5  # type: ignore[index]
    assert results.download("evaluation-results", job_id=str(job.id)).json()["tasks"] == scores["tasks"]
    with tarfile.open(fileobj=io.BytesIO(results.artifacts.retrieve(str(job.id)).read())) as archive:
        assert {"job.json", "log.txt", "rows.jsonl", "scores.json", "results/results.json"} == set(
            archive.getnames()
        )
    jobs.delete(str(job.id))
    with pytest.raises(NotFoundError):
        jobs.retrieve(str(job.id))


def test_platform_jobs_are_listed_apart_from_those_of_the_first_version(sdk: NeMoMicroservices) -> None:
    jobs = sdk.v2.evaluation.jobs
    ids = [jobs.create(name=f"v2-list-{number}", namespace="v2list", spec=spec()).id for number in range(3)]
    for job_id in ids:
        finished(sdk, job_id)
    listed = [each.id for each in jobs.list(filter={"namespace": "v2list"}, page_size=2, sort="-created_at")]
    assert listed == ids[::-1]
    assert [each.id for each in jobs.list(filter={"status": "completed", "name": "v2-list-1"})] == [ids[1]]
    assert [each.id for each in jobs.list(search={"name": ["v2-list-2"]})] == [ids[2]]
    assert not set(ids) & {each.id for each in sdk.evaluation.jobs.list(page_size=100)}
    with pytest.raises(NotFoundError):
        sdk.evaluation.jobs.retrieve(str(ids[0]))


def test_logs_are_paged_by_a_cursor(sdk: NeMoMicroservices, stack: StackThread) -> None:
    job = sdk.v2.evaluation.jobs.create(spec=spec())
    assert job.name == job.id
    finished(sdk, job.id)
    lines = [each.message for each in sdk.v2.evaluation.jobs.logs.list(str(job.id), limit=1)]
    assert lines == ["task qa: 2 rows", "completed: 2 rows"]
    url = f"{stack.platform_url}/v2/evaluation/jobs/{job.id}/logs"
    first = httpx.get(url, params={"limit": 1}).json()
    assert (first["total"], first["prev_page"]) == (2, "")
    second = httpx.get(url, params={"limit": 1, "page_cursor": first["next_page"]}).json()
    assert second["next_page"] == ""
    assert (
        httpx.get(url, params={"limit": 1, "page_cursor": second["prev_page"]}).json()["data"]
        == first["data"]
    )
    for refused in ({"limit": "0"}, {"limit": "-1"}, {"page_cursor": "é"}, {"page_cursor": "x"}):
        assert httpx.get(url, params=refused).status_code == 400


def test_a_failed_platform_job_is_in_error_and_says_why(sdk: NeMoMicroservices) -> None:
    jobs = sdk.v2.evaluation.jobs
    job = finished(sdk, jobs.create(spec=spec(check="{{nothing}}")).id)
    assert job.status == "error"
    assert "nothing" in job.error_details["message"]
    assert jobs.status.retrieve(job.id).steps[0].error_details == job.error_details
    assert jobs.results.list(job.id).data == []
    for ask in (jobs.results.artifacts.retrieve, jobs.results.evaluation_results.retrieve):
        with pytest.raises(NotFoundError, match="status is error"):
            ask(job.id)
    with pytest.raises(NotFoundError):
        jobs.results.retrieve("weights", job_id=job.id)
    with pytest.raises(BadRequestError):
        jobs.cancel(job.id)


def test_a_key_written_into_a_platform_job_is_not_shown(sdk: NeMoMicroservices, stack: StackThread) -> None:
    endpoint = {"url": "http://127.0.0.1:9/v1/completions", "model_id": "m", "api_key": "secret-key"}
    asking = spec() | {"target": {"type": "model", "model": {"api_endpoint": endpoint}}}
    asking["config"]["tasks"]["qa"] |= {"type": "completion", "dataset": "none/none"}
    body = httpx.post(f"{stack.platform_url}/v2/evaluation/jobs", json={"spec": asking}).text
    assert "secret-key" not in body
    assert "******" in body


def test_an_object_that_has_only_a_name_stands_for_the_entity_of_this_name(sdk: NeMoMicroservices) -> None:
    parts = spec()
    sdk.evaluation.targets.create(name="v2-target", **parts["target"])
    sdk.evaluation.configs.create(name="v2-config", **parts["config"])
    named: Any = {
        "config": {"type": "custom", "name": "v2-config"},
        "target": {"type": "rows", "name": "v2-target", "namespace": "default"},
    }
    assert finished(sdk, sdk.v2.evaluation.jobs.create(spec=named).id).status == "completed"
    job = sdk.evaluation.jobs.create(**named)
    assert (job.target.name, job.config.name) == ("v2-target", "v2-config")
