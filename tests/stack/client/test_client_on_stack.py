"""The client against the embedded stack: upload, train, serve, tag; and lost replies on the way."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from client_kit import connect
from endpoint_list import Recorder
from fault_proxy import FaultProxy, Verdict
from tiny_models import write_rows

from lawtags_client import LoRA, NeMo, scores, sync, tag, tag_many
from lawtags_client.errors import (
    ConfigurationError,
    ConflictError,
    DataError,
    DoubtfulOutcomeError,
    JobCancelledError,
    NotFoundError,
)
from lawtags_client.intents import FIELD
from lawtags_client.services.customizer.events import LogWritten, MetricRecorded, StateChanged
from lawtags_client.services.data_store.links import Links
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.services.watching import Patience
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.transport.call import Call
from lawtags_client.types.common import APIEndpoint
from lawtags_client.types.deployments import NIMDeploymentConfig
from lawtags_client.types.entity_store import Dataset, DatasetRequest, NamespaceRequest, ProjectRequest
from lawtags_client.types.evaluator import (
    EvaluationConfigRequest,
    EvaluationTargetRequest,
    MetricConfig,
    ModelTarget,
    TaskConfig,
)
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage, CompletionRequest
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

BASE = "tiny/llama"
FAST: dict[str, Any] = {
    "method": LoRA(adapter_dim=4),
    "epochs": 2,
    "batch_size": 6,
    "learning_rate": 0.02,
    "hyperparameters": {"warmup_steps": 1, "log_every_n_steps": 1},
}
QUICK = Patience(shortest=0.05, longest=0.2)


async def jobs_on(nemo: NeMo) -> list[str]:
    return [job.id async for job in nemo.customizer.jobs.list(page_size=3)]


async def test_end_to_end_from_folder_to_tags(nemo: NeMo, curated: Path) -> None:
    dataset = await nemo.data_store.upload_dataset("way/tags", curated, description="rows")
    assert dataset.rows == {"training": 24, "validation": 6, "testing": 3}
    job = await nemo.customizer.fine_tune(config=BASE, dataset=dataset, output_model="way/tagger", **FAST)
    events = [event async for event in job.watch(patience=QUICK)]
    points = [(event.series, event.step) for event in events if isinstance(event, MetricRecorded)]
    assert {name for name, _ in points} >= {"train_loss", "val_loss"}
    assert len(points) == len(set(points))
    assert [event for event in events if isinstance(event, LogWritten)]
    last = events[-1]
    assert isinstance(last, StateChanged) and (last.state, last.final) == ("completed", True)
    assert [row.step for row in await job.metrics() if row.metric == "train_loss"]
    model = await job.served(timeout=30)
    assert model.startswith("way/tagger@")
    tagged = await tag(nemo, title="Question number 3", model=model)
    assert isinstance(tagged.tags, tuple)
    again = await nemo.customizer.fine_tune(config=BASE, dataset=dataset, output_model="way/tagger", **FAST)
    assert again.id == job.id


async def test_lost_reply_leaves_one_job_for_each_intent(
    stack: StackThread, tmp_path: Path, curated: Path
) -> None:
    async with connect(stack, tmp_path) as nemo:
        await nemo.data_store.upload_dataset("lost/tags", curated)
    lost = iter(["lose reply"])

    def judge(request: str) -> Verdict:
        return "lose reply" if request == "POST /v1/customization/jobs" and next(lost, None) else "pass"

    async with connect(stack, tmp_path) as plain:
        before = await jobs_on(plain)
        with FaultProxy(stack.platform_url, judge) as proxy:
            async with connect(stack, tmp_path, platform_url=proxy.url) as nemo:
                job = await nemo.customizer.fine_tune(
                    config=BASE, dataset="lost/tags", output_model="lost/tagger", **FAST
                )
                assert proxy.count("POST /v1/customization/jobs") == 1
        new = set(await jobs_on(plain)) - set(before)
        assert new == {job.id}
        assert job.record.custom_fields[FIELD]
        await plain.customizer.cancel(job.id)


async def test_lost_request_is_doubtful_and_the_next_call_submits(
    stack: StackThread, tmp_path: Path, curated: Path
) -> None:
    lost = iter(["once"])

    def judge(request: str) -> Verdict:
        return "lose request" if request == "POST /v1/customization/jobs" and next(lost, None) else "pass"

    async with connect(stack, tmp_path) as plain:
        await plain.data_store.upload_dataset("request/tags", curated)
        before = await jobs_on(plain)
        with FaultProxy(stack.platform_url, judge) as proxy:
            async with connect(stack, tmp_path, platform_url=proxy.url) as nemo:
                wish = {"config": BASE, "dataset": "request/tags", "intent": "mine", **FAST}
                with pytest.raises(DoubtfulOutcomeError):
                    await nemo.customizer.fine_tune(**wish)
                job = await nemo.customizer.fine_tune(**wish)
        assert set(await jobs_on(plain)) - set(before) == {job.id}
        await plain.customizer.cancel(job.id)


async def test_two_clients_with_one_intent_make_one_job(
    stack: StackThread, tmp_path: Path, curated: Path
) -> None:
    async with connect(stack, tmp_path) as one, connect(stack, tmp_path) as two:
        await one.data_store.upload_dataset("two/tags", curated)
        wish = {"config": BASE, "dataset": "two/tags", "output_model": "two/tagger", **FAST}
        first, second = await asyncio.gather(*(each.customizer.fine_tune(**wish) for each in (one, two)))
        assert first.id == second.id
        await first.cancel()


async def test_key_of_an_intent_cannot_be_used_for_another_request(nemo: NeMo, curated: Path) -> None:
    await nemo.data_store.upload_dataset("keys/tags", curated)
    job = await nemo.customizer.fine_tune(config=BASE, dataset="keys/tags", intent="k", **FAST)
    with pytest.raises(ConflictError, match="hyperparameters"):
        await nemo.customizer.fine_tune(config=BASE, dataset="keys/tags", intent="k", **FAST | {"epochs": 3})
    await job.cancel()


async def test_cancelled_job_ends_the_wait(nemo: NeMo, curated: Path) -> None:
    await nemo.data_store.upload_dataset("cancel/tags", curated)
    job = await nemo.customizer.fine_tune(config=BASE, dataset="cancel/tags", **FAST | {"epochs": 2000})
    await job.cancel()
    with pytest.raises(JobCancelledError):
        await job.wait(patience=QUICK, timeout=60)


async def test_several_jobs_are_followed_to_their_ends(nemo: NeMo, curated: Path) -> None:
    await nemo.data_store.upload_dataset("many/tags", curated)
    wish = {"config": BASE, "dataset": "many/tags", **FAST, "epochs": 2000}
    jobs = [await nemo.customizer.fine_tune(intent=f"many-{n}", **wish) for n in range(3)]
    ended = {}
    async for change in nemo.customizer.watch_many(jobs, every=1.0):
        if change.before is None:
            await nemo.customizer.cancel(change.id)
        if change.final:
            ended[change.id] = change.state
    assert ended == {job.id: "cancelled" for job in jobs}


async def test_unknown_config_lists_what_there_is(nemo: NeMo) -> None:
    with pytest.raises(ConfigurationError, match="tiny/llama@"):
        await nemo.customizer.fine_tune(config="google/gemma-2-2b", dataset="law/tags")
    with pytest.raises(ConfigurationError, match="several"):
        await nemo.customizer.fine_tune(dataset="law/tags")


async def test_batch_larger_than_the_validation_rows_is_refused_before_sending(
    nemo: NeMo, curated: Path
) -> None:
    dataset = await nemo.data_store.upload_dataset("batch/tags", curated)
    with pytest.raises(ConfigurationError, match="batch_size"):
        await nemo.customizer.fine_tune(config=BASE, dataset=dataset, batch_size=7)


async def test_second_upload_sends_nothing_and_drops_what_is_gone(nemo: NeMo, tmp_path: Path) -> None:
    for split in ("training", "validation"):
        (tmp_path / split).mkdir()
        for part in "ab":
            write_rows(tmp_path / split / f"{part}.jsonl", 4)
    first = await nemo.data_store.upload_dataset("again/tags", tmp_path)
    assert len(first.sent) == 4
    assert (await nemo.data_store.upload_dataset("again/tags", tmp_path)).sent == ()
    (tmp_path / "training" / "b.jsonl").unlink()
    await nemo.data_store.upload_dataset("again/tags", tmp_path)
    paths = {entry.path for entry in await nemo.data_store.files("again/tags")}
    assert {path for path in paths if path.endswith(".jsonl")} == {
        "training/a.jsonl",
        "validation/a.jsonl",
        "validation/b.jsonl",
    }


async def test_large_file_goes_through_lfs_and_comes_back(nemo: NeMo, tmp_path: Path) -> None:
    content = os.urandom(12 << 20)
    source = tmp_path / "weights.bin"
    source.write_bytes(content)
    await nemo.data_store.namespaces.create_or_get("large")
    repository = "large/files"
    await nemo.data_store.prepare(Repository.of(repository))
    uploaded = await nemo.data_store.upload_files(repository, {"deep/weights.bin": source})
    assert uploaded.sent == ("deep/weights.bin",)
    (entry,) = [e for e in await nemo.data_store.files(repository) if e.path == "deep/weights.bin"]
    assert entry.lfs is not None and entry.lfs.oid == uploaded.files["deep/weights.bin"]
    got = await nemo.data_store.download(repository, tmp_path / "down")
    assert (got.folder / "deep" / "weights.bin").read_bytes() == content
    assert (await nemo.data_store.upload_files(repository, {"deep/weights.bin": source})).sent == ()


async def test_many_small_files_go_in_commits_of_some_size(stack: StackThread, tmp_path: Path) -> None:
    recorder = Recorder()
    files = {f"part-{number:02}.bin": os.urandom(1 << 20) for number in range(14)}
    async with connect(stack, tmp_path, handler=recorder) as nemo:
        await nemo.data_store.namespaces.create_or_get("small")
        await nemo.data_store.prepare(Repository.of("small/files"))
        done = await nemo.data_store.upload_files("small/files", dict(files))
        assert done.sent == tuple(files)
        got = await nemo.data_store.download("small/files", tmp_path / "down")
    assert all((got.folder / name).read_bytes() == content for name, content in files.items())
    assert sum(path.endswith("/commit/main") for _, path in recorder.seen) == 2


async def test_upload_needs_no_library_of_the_hub(stack: StackThread, curated: Path, tmp_path: Path) -> None:
    # Some of its releases cannot read what deployed Data Stores answer; this one answers as they do.
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from lawtags_client import sync\n"
        f"with sync.NeMo.from_env(intents_path={str(tmp_path / 'i.sqlite')!r}) as nemo:\n"
        f"    print(nemo.data_store.upload_dataset('hubless/tags', {str(curated)!r}).rows)"
    )
    urls = {"LAWTAGS_PLATFORM_URL": stack.platform_url, "LAWTAGS_DATA_STORE_URL": stack.data_store_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, **urls}, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert b"'training': 24" in told


async def test_links_of_an_unreachable_host_are_followed_at_the_store_itself(
    stack: StackThread, tmp_path: Path
) -> None:
    # Links name the host that the stack was asked at; here nothing listens there any more.
    with FaultProxy(stack.data_store_url, lambda _: "pass") as proxy:
        closed = proxy.url
    async with connect(stack, tmp_path) as nemo:
        links = Links(nemo.data_store._http, "auto")
        reply = await links.send(Call("GET", f"{closed}/v1/health"))
        assert reply.status == 200


async def test_bad_row_is_named_and_nothing_is_sent(nemo: NeMo, curated: Path, tmp_path: Path) -> None:
    for split in ("training", "validation"):
        (tmp_path / split).mkdir()
        write_rows(tmp_path / split / "rows.jsonl", 3)
    with (tmp_path / "training" / "rows.jsonl").open("a") as stream:
        stream.write(json.dumps({"prompt": "x", "completion": 7}) + "\n")
    with pytest.raises(DataError) as caught:
        await nemo.data_store.upload_dataset("bad/tags", tmp_path)
    assert (caught.value.line, caught.value.field) == (4, "completion")
    with pytest.raises(NotFoundError):
        await nemo.data_store.namespaces.get("bad")


async def test_entities_are_made_found_changed_and_dropped(nemo: NeMo) -> None:
    store = nemo.entity_store
    await store.ensure_namespace("entities")
    await store.ensure_namespace("entities")
    wanted = DatasetRequest(name="d", namespace="entities", files_url="hf://datasets/entities/d")
    made = await store.datasets.create_or_get(wanted)
    assert (await store.datasets.create_or_get(wanted)).id == made.id
    other = DatasetRequest(name="d", namespace="entities", files_url="hf://datasets/entities/other")
    with pytest.raises(ConflictError, match="files_url"):
        await store.datasets.create_or_get(other)
    with pytest.raises(ConflictError):
        await store.namespaces.create(NamespaceRequest(id="entities"))
    await store.projects.create(ProjectRequest(name="p", namespace="entities"))
    await store.datasets.delete("entities/d")
    assert await store.datasets.find("entities/d") is None
    await store.datasets.delete("entities/d", missing_ok=True)


async def test_many_prompts_come_back_in_order_with_log_probabilities(nemo: NeMo) -> None:
    prompts = [f"Title: question {number}\nTags:" for number in range(40)]
    outcomes = await nemo.inference.complete_many(prompts, model=BASE, max_tokens=1, logprobs=20)
    assert [outcome.row for outcome in outcomes] == list(range(40))
    single = await nemo.inference.complete(
        CompletionRequest(model=BASE, prompt=prompts[7], max_tokens=1, logprobs=20, temperature=0.0)
    )
    many, alone = (choice.logprobs.top_logprobs[0] for choice in (outcomes[7].value, single.choices[0]))
    assert len(alone) == 20
    assert many == pytest.approx(alone, abs=1e-3)


async def test_model_that_is_not_served_is_an_error_of_each_row(nemo: NeMo) -> None:
    outcomes = await nemo.inference.complete_many(["a", "b", "c"], model="tiny/none", max_tokens=1)
    assert all(isinstance(outcome.error, NotFoundError) for outcome in outcomes)


async def test_questions_are_tagged_in_order(nemo: NeMo) -> None:
    questions = (Question(id=str(n), title=f"Question {n}", body=None, tags=()) for n in range(5))
    tagged = [one async for one in tag_many(nemo, questions, model=BASE)]
    assert [(one.row, one.id, one.error) for one in tagged] == [(n, str(n), None) for n in range(5)]


@pytest.mark.parametrize("chat", [False, True], ids=["completion", "chat"])
async def test_held_tags_have_scores_and_an_unsure_model_abstains(nemo: NeMo, chat: bool) -> None:
    known = Vocabulary.from_questions(
        [Question(id="1", title="t", body=None, tags=("contract-law", "tax", "tort"))]
    )
    asked = {"title": "Is a verbal lease binding?", "model": BASE, "vocabulary": known, "chat": chat}
    tagged = await tag(nemo, **asked)
    assert tagged.tags and set(tagged.tags) <= set(known.tags)
    assert tagged.scores.keys() == set(tagged.tags)
    assert all(0 < score < 1 for score in tagged.scores.values())
    assert (await tag(nemo, **asked, threshold=1.0)).tags == ()


async def test_streams_arrive_in_pieces(nemo: NeMo) -> None:
    request = ChatCompletionRequest(
        model=BASE, messages=[ChatMessage(role="user", content="Hello")], max_tokens=4, temperature=0.0
    )
    pieces = [chunk async for chunk in nemo.inference.stream_chat(request)]
    assert "".join(chunk.text for chunk in pieces) == (await nemo.inference.chat(request)).text


def test_blocking_front_does_the_same_inside_a_running_loop(
    stack: StackThread, tmp_path: Path, curated: Path
) -> None:
    async def inside() -> list[str]:
        with sync.NeMo.of(connect(stack, tmp_path)) as nemo:
            dataset = nemo.data_store.upload_dataset("blocking/tags", curated)
            job = nemo.customizer.fine_tune(config=BASE, dataset=dataset, **FAST)
            job.cancel()
            states = [event.state for event in job.watch(patience=QUICK) if isinstance(event, StateChanged)]
            assert job.refresh().status == "cancelled"
            assert nemo.entity_store.datasets.get("blocking/tags").name == "tags"
            return states

    assert asyncio.run(inside())[-1] == "cancelled"


async def test_scores_come_from_an_evaluation_submitted_once(
    nemo: NeMo, stack: StackThread, curated: Path
) -> None:
    dataset = await nemo.data_store.upload_dataset("scored/tags", curated)
    task = TaskConfig(
        type="completion",
        dataset=Dataset(files_url=f"{dataset.files_url}/testing/testing.jsonl"),
        params={"template": {"prompt": "{{item.prompt}}", "max_tokens": 4, "temperature": 0.0}},
        metrics={"f1": MetricConfig(type="f1", params={"ground_truth": "{{item.completion}}"})},
    )
    config = EvaluationConfigRequest(type="custom", tasks={"tags": task})
    endpoint = APIEndpoint(url=f"{stack.inference_url}/v1/completions", model_id=BASE)
    target = EvaluationTargetRequest(type="model", model=ModelTarget(api_endpoint=endpoint))
    evaluation = await nemo.evaluator.evaluate(config=config, target=target)
    again = await nemo.evaluator.evaluate(config=config, target=target)
    assert again.id == evaluation.id
    found = scores(await evaluation.wait(patience=QUICK, timeout=60))
    assert 0 <= found["tags.f1"] <= 1


async def test_live_scores_come_at_once(nemo: NeMo) -> None:
    check = {"check": ["{{output}}", "equals", "{{reference}}"]}
    task = TaskConfig(type="data", metrics={"same": MetricConfig(type="string-check", params=check)})
    rows = [{"output": "4", "reference": "4"}, {"output": "5", "reference": "4"}]
    live = await nemo.evaluator.live(
        config=EvaluationConfigRequest(type="custom", tasks={"qa": task}),
        target=EvaluationTargetRequest(type="rows", rows=rows),
    )
    assert live.result is not None and scores(live.result) == {"qa.same": 0.5}


async def test_deployment_becomes_ready_and_goes_away(nemo: NeMo) -> None:
    nim = NIMDeploymentConfig(image_name="nvcr.io/nim/tiny", image_tag="1", gpu=0)
    await nemo.entity_store.ensure_namespace("deployed")
    told: list[str] = []
    ready = await nemo.deployments.deploy(
        "deployed/tiny", model=BASE, nim=nim, timeout=30, on_state=told.append
    )
    assert told[-1].startswith("ready") and len(told) == len(set(told))
    assert ready.deployed or (ready.status_details and ready.status_details.status == "ready")
    await nemo.deployments.deploy("deployed/tiny", model=BASE, nim=nim, timeout=30)
    await nemo.deployments.remove("deployed/tiny", timeout=30)
    assert await nemo.deployments.configs.find("deployed/tiny") is None
