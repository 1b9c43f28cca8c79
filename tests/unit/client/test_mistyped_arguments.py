"""Arguments of the wrong type are refused at once, without repeating what may be a secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from client_kit import Script, client

from lawtags_client import AllWeights, LoRA, Patience, Question, Vocabulary, sync, tag, tag_many
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.settings import Settings
from lawtags_client.types.entity_store import DatasetRequest

URL = "http://nemo.test"
SECRET = "hush-4711-hush"

HEADERS = [{"headers": SECRET}, {"headers": [("x-key", SECRET)]}, {"headers": {"x-key": SECRET.encode()}}]
LIMITS = [
    {"timeout": "5"}, {"timeout": True}, {"timeout": float("nan")}, {"timeout": [5]},
    {"max_retries": 1.5}, {"max_retries": "2"}, {"max_retries": True},
]  # fmt: skip
HOOKS = [{"event_hooks": SECRET}, {"event_hooks": [print]}, {"event_hooks": {"request": print}}]


@pytest.mark.parametrize("options", [*HEADERS, *LIMITS, *HOOKS], ids=str)
@pytest.mark.parametrize("kind", [NeMo, sync.NeMo])
def test_client_refuses_arguments_of_the_wrong_type(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(base_url=URL, **options)
    assert caught.value.hint
    assert SECRET not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    patience = Patience(longest=np.float32(2.0), silence=np.int64(60)).within(np.int32(5))  # type: ignore[arg-type]
    assert patience.silence == 5
    assert Settings(max_retries=np.int64(2), total_timeout=np.float32(5)).max_retries == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [*HEADERS, *LIMITS], ids=str)
def test_copies_refuse_arguments_of_the_wrong_type(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NeMo(base_url=URL).with_options(**options)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", [5, b"http://nemo.test", ["http://nemo.test"]], ids=str)
def test_address_that_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        NeMo(base_url=url)


@pytest.mark.parametrize("call", [None, "models", 5])
def test_raw_response_of_what_is_no_method_is_refused(call: Any) -> None:
    with pytest.raises(ConfigurationError, match="with_raw_response"):
        NeMo(base_url=URL).with_raw_response(call)
    with sync.NeMo(base_url=URL) as nemo, pytest.raises(ConfigurationError, match="with_raw_response"):
        nemo.with_raw_response(call)


@pytest.mark.parametrize(
    ("name", "value"),
    [("concurrency", 0), ("concurrency", -1), ("concurrency", 1.5), ("concurrency", "4"), ("batch_size", 0)],
)
async def test_numbers_of_requests_and_rows_are_positive(name: str, value: Any) -> None:
    nemo = NeMo(base_url=URL)
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive integer"):
        [one async for one in nemo.inference.complete_each(["a"], model="m", **{name: value})]


def unanswered() -> Script:
    return Script([httpx.Response(500)])


@pytest.mark.parametrize("method", ["lora", "", 0, LoRA, AllWeights, {"adapter_dim": 8}], ids=repr)
async def test_way_of_fine_tuning_that_is_not_one_is_refused(method: Any, tmp_path: Path) -> None:
    script = unanswered()
    customizer = client(script, tmp_path).customizer
    with pytest.raises(ConfigurationError, match="method must be") as caught:
        await customizer.fine_tune(dataset="law/tags", method=method)
    assert "LoRA()" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="method must be"):
        await customizer.config(None, method)
    assert not script.requests


@pytest.mark.parametrize(
    "dataset", ["curated/", "./curated", "/data/law/curated", "~/curated", "a\\b", Path("law/tags")]
)
async def test_folder_in_place_of_a_dataset_is_refused(dataset: Any, tmp_path: Path) -> None:
    script = unanswered()
    with pytest.raises(ConfigurationError, match="dataset") as caught:
        await client(script, tmp_path).customizer.fine_tune(dataset=dataset)
    assert "Upload a folder first" in str(caught.value.hint)
    assert "law/tagger" not in str(caught.value.hint)
    assert not script.requests


async def test_example_of_a_dataset_is_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await client(unanswered(), tmp_path).customizer.fine_tune(dataset="tags")
    assert caught.value.hint == "For example: law/tags"


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"vocabulary": [SECRET]}, "Vocabulary"),
    ({"vocabulary": SECRET}, "Vocabulary"),
    ({"style": SECRET}, "PromptStyle"),
    ({"tagger": SECRET}, "load_tagger"),
    ({"tagger": Path(SECRET)}, "load_tagger"),
    ({"model": None}, "id"),
]


@pytest.mark.parametrize(("options", "hint"), OPTIONS, ids=str)
def test_tagging_refuses_arguments_of_the_wrong_type(
    options: dict[str, Any], hint: str, tmp_path: Path
) -> None:
    script = unanswered()
    nemo = client(script, tmp_path)
    given: dict[str, Any] = {"model": "m", **options}
    for call in (
        lambda: tag(nemo, title="Can I?", **given),
        lambda: tag_many(nemo, [], **given),
        lambda: sync.tag(sync.NeMo.of(nemo), title="Can I?", **given),
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert hint in str(caught.value.hint)
        assert SECRET not in str(caught.value)
    assert not script.requests


@pytest.mark.parametrize("title", [None, 5, b"Can I?"])
def test_title_that_is_no_text_is_refused(title: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="title must be text"):
        tag(client(unanswered(), tmp_path), title=title, model="m")  # type: ignore[unused-coroutine]


def test_hint_about_the_vocabulary_works() -> None:
    assert "lease" in Vocabulary(tags=("lease", "tax"), counts=(12, 5), rows=15)


QUESTION = Question(id="1", title="Can I?")
SOURCES: list[Any] = [SECRET, [SECRET], [QUESTION, {"title": SECRET}], {"title": SECRET}, QUESTION, 5, None]


@pytest.mark.parametrize("questions", SOURCES, ids=str)
def test_items_that_are_no_questions_are_refused(questions: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tag_many(client(unanswered(), tmp_path), questions, model="m")
    assert "Question" in str(caught.value.hint)
    assert SECRET not in str(caught.value)


async def _later(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


@pytest.mark.parametrize("source", [iter, _later])
async def test_items_that_are_read_later_are_refused_before_they_are_sent(
    source: Any, tmp_path: Path
) -> None:
    script = unanswered()
    with pytest.raises(ConfigurationError, match="takes questions, not a str"):
        [one async for one in tag_many(client(script, tmp_path), source([QUESTION, SECRET]), model="m")]
    assert not script.requests


def test_tagging_with_the_other_kind_of_client_names_the_right_function(tmp_path: Path) -> None:
    nemo = client(unanswered(), tmp_path)
    blocking: Any = sync.NeMo.of(nemo)
    other: Any = nemo
    for name, call in (("tag", tag), ("tag_many", tag_many)):
        options: Any = {"title": "Can I?"} if name == "tag" else {"questions": []}
        with pytest.raises(ConfigurationError, match="blocking") as caught:
            call(blocking, model="m", **options)  # type: ignore[operator]
        assert f"sync.{name}(nemo" in str(caught.value.hint)
        with pytest.raises(ConfigurationError, match=rf"sync\.{name} takes the blocking client"):
            getattr(sync, name)(other, model="m", **options)
        with pytest.raises(ConfigurationError, match=rf"sync\.{name} takes the blocking client"):
            getattr(sync, name)(nemo=other, model="m", **options)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/nemo/v1"])
@pytest.mark.parametrize("name", ["platform_url", "customizer_url", "data_store_url"])
def test_address_with_the_version_of_the_api_is_refused(name: str, path: str, tmp_path: Path) -> None:
    made: list[Any] = [
        lambda: Settings.load(environ={f"LAWTAGS_{name.upper()}": URL + path}, folder=tmp_path),
        lambda: Settings(**{name: URL + path}),
    ]
    for make in made:
        with pytest.raises(ConfigurationError, match=f"{name} ends with /v1") as caught:
            make()
        assert "Remove /v1" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="base_url ends with /v1"):
        NeMo(base_url=URL + path)


async def test_namespace_in_the_name_of_an_entity_is_refused(tmp_path: Path) -> None:
    script = unanswered()
    store = client(script, tmp_path).entity_store
    for create in (store.datasets.create, store.datasets.create_or_get):
        with pytest.raises(ConfigurationError, match="slash") as caught:
            await create(name="law/k8", files_url="hf://datasets/law/k8")
        assert "namespace='law', name='k8'" in str(caught.value.hint)
        with pytest.raises(ConfigurationError, match="slash"):
            await create(DatasetRequest(name="law/k8", files_url="hf://datasets/law/k8"))
    assert not script.requests


@pytest.mark.parametrize("timeout", ["5", True, float("nan"), [5]], ids=str)
@pytest.mark.parametrize("name", ["timeout", "stall"])
async def test_a_wait_refuses_what_is_no_time(name: str, timeout: Any, tmp_path: Path) -> None:
    answers = Script([httpx.Response(200, json={"id": "cust-1", "status": "running"})] * 2)
    job = await client(answers, tmp_path).customizer.job("cust-1")
    with pytest.raises(ConfigurationError, match=f"^{name} is"):
        await job.wait(**{name: timeout})
    if name == "timeout":
        with pytest.raises(ConfigurationError, match=r"^timeout is"):
            await client(answers, tmp_path).inference.served("law/tagger", timeout=timeout)
    assert len(answers.requests) == 1


@pytest.mark.parametrize(
    "options",
    [{"shortest": 0}, {"longest": -1.0}, {"shortest": float("nan")}, {"silence": "60"}, {"longest": None}],
    ids=str,
)
def test_patience_without_a_pause_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Patience(**options)


@pytest.mark.parametrize("filter", [{"status": "completed"}, "completed", [("status", "completed")]], ids=str)
async def test_a_filter_that_is_no_filter_is_refused(filter: Any, tmp_path: Path) -> None:
    answers = Script([httpx.Response(500)])
    nemo = client(answers, tmp_path)
    with pytest.raises(ConfigurationError, match="filter is a"):
        await nemo.customizer.jobs.page(filter=filter)
    with pytest.raises(ConfigurationError, match="filter is a"):
        [job async for job in nemo.customizer.jobs.list(filter=filter)]
    with pytest.raises(ConfigurationError, match="filter is a"):
        [change async for change in nemo.customizer.watch_many(["cust-1"], filter=filter)]
    assert not answers.requests


@pytest.mark.parametrize("prompts", ["Tags:", b"Tags:"], ids=str)
async def test_one_prompt_is_not_taken_for_many(prompts: Any, tmp_path: Path) -> None:
    answers = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match="prompts is a"):
        await client(answers, tmp_path).inference.complete_many(prompts, model="law/tagger")
    assert not answers.requests


@pytest.mark.parametrize("content", ["text", None, 5, {"a": 1}], ids=str)
async def test_files_are_paths_or_bytes(content: Any, tmp_path: Path) -> None:
    answers = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match=r"the content of 'a\.txt' is a") as caught:
        await client(answers, tmp_path).data_store.upload_files("law/tags", {"a.txt": content})
    assert "bytes" in (caught.value.hint or "")


def test_settings_take_paths_as_text_and_refuse_other_types(tmp_path: Path) -> None:
    settings = Settings(platform_url=URL, intents_path=str(tmp_path / "i.sqlite"))  # type: ignore[arg-type]
    assert NeMo(settings).intents.find("none") is None
    wrong: list[dict[str, Any]] = [{"max_retries": "3"}, {"max_connections": 1.5}, {"ca_file": 5}]
    for options in wrong:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            Settings(platform_url=URL, **options)
    (tmp_path / "lawtags.toml").write_text("schema_version = 1\n[profiles.a]\nmax_retries = inf\n")
    with pytest.raises(ConfigurationError, match="max_retries"):
        Settings.load("a", environ={}, folder=tmp_path)


async def _asynchronous() -> str:
    return SECRET


def _failing() -> str:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize("function", [lambda: 5, lambda: None, lambda: b"t", _asynchronous, _failing])
async def test_a_function_that_gives_no_token_is_an_error(function: Any, tmp_path: Path) -> None:
    answers = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match=r"the function for token (returned|failed)") as caught:
        await client(answers, tmp_path, token=function).customizer.jobs.page()
    assert caught.value.hint and SECRET not in str(caught.value)
    assert not answers.requests
