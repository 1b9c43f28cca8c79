"""Inference as clients see it: the openai package, the official SDK, and plain HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from served_stack import ADAPTER, BASE, ServedStack, served_stack, wait_for
from shared_launcher import shared_launcher
from tiny_models import make_adapter, make_model

from lawtags_stack.engines.device import Compute
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

PROMPT = "Title: Can pricing be trademarked?\nTags:"
MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "law question"}]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStack]:
    folder = tmp_path_factory.mktemp("inference")
    base = make_model(folder / "base")
    adapter = make_adapter(folder / "adapter", base, lora_alpha=32)
    with served_stack(folder / "stack", base, adapter) as served:
        yield served


@pytest.fixture
def client(stack: ServedStack) -> Iterator[openai.OpenAI]:
    url = f"{stack.thread.inference_url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def test_base_and_adapter_are_listed(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {BASE, ADAPTER, "huggingfacetb/smollm2-135m-instruct"} <= listed.keys()
    extra = listed[ADAPTER].model_extra or {}
    assert extra["parent"] == BASE
    assert extra["root"] == f"hf://{ADAPTER}"
    assert extra["max_model_len"] is None
    assert extra["permission"][0]["allow_sampling"] is True
    assert listed[ADAPTER].owned_by == "system"
    assert (listed[BASE].model_extra or {})["max_model_len"] == 512


def test_completions_of_base_and_adapter_differ(client: openai.OpenAI) -> None:
    texts = {
        model: client.completions.create(model=model, prompt=PROMPT, max_tokens=12, temperature=0)
        for model in (BASE, ADAPTER)
    }
    assert texts[BASE].choices[0].text != texts[ADAPTER].choices[0].text
    usage = texts[BASE].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert texts[ADAPTER].model == ADAPTER


def test_one_token_of_many_prompts_with_their_alternatives(client: openai.OpenAI) -> None:
    prompts = [f"Title: question {number}\nTags:" for number in range(30)]
    answer = client.completions.create(
        model=ADAPTER, prompt=prompts, max_tokens=1, logprobs=20, temperature=0
    )
    assert [choice.index for choice in answer.choices] == list(range(30))
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.top_logprobs is not None
        assert len(choice.logprobs.top_logprobs[0]) == 20
        assert choice.logprobs.tokens is not None
        assert choice.logprobs.text_offset == [0]
        assert max(choice.logprobs.top_logprobs[0].values()) <= 0
    alone = client.completions.create(
        model=ADAPTER, prompt=prompts[7], max_tokens=1, logprobs=20, temperature=0
    )
    assert alone.choices[0].logprobs is not None
    together = answer.choices[7].logprobs
    assert together is not None
    assert alone.choices[0].logprobs.token_logprobs == pytest.approx(together.token_logprobs, abs=1e-4)


def test_chat_with_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=ADAPTER, messages=MESSAGES, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3
    )
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    for token in choice.logprobs.content:
        assert len(token.top_logprobs) == 3
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob)


def test_streams_add_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    asked = {"model": ADAPTER, "max_tokens": 20, "temperature": 0}
    whole = client.completions.create(prompt=PROMPT, **asked).choices[0]  # type: ignore[call-overload]
    parts = list(client.completions.create(prompt=PROMPT, stream=True, **asked))  # type: ignore[call-overload]
    assert "".join(part.choices[0].text for part in parts) == whole.text
    assert [p.choices[0].finish_reason for p in parts][-1] == whole.finish_reason
    chat = client.chat.completions.create(messages=MESSAGES, **asked).choices[0]  # type: ignore[call-overload]
    chunks = list(
        client.chat.completions.create(  # type: ignore[call-overload]
            messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **asked
        )
    )
    assert chunks[-1].usage is not None
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert told[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in told) == chat.message.content
    assert told[-1].finish_reason == chat.finish_reason


def test_a_seed_repeats_and_several_answers_differ(client: openai.OpenAI) -> None:
    asked = {"model": ADAPTER, "prompt": PROMPT, "max_tokens": 12, "n": 4, "temperature": 1.5, "seed": 3}
    first, second = (client.completions.create(**asked).choices for _ in range(2))  # type: ignore[call-overload]
    assert [choice.index for choice in first] == [0, 1, 2, 3]
    assert [choice.text for choice in first] == [choice.text for choice in second]
    assert len({choice.text for choice in first}) > 1
    # The smallest set of tokens is the likeliest one alone.
    narrow = client.completions.create(**asked | {"top_p": 1e-6}).choices  # type: ignore[call-overload]
    greedy = client.completions.create(**asked | {"n": 1, "temperature": 0}).choices  # type: ignore[call-overload]
    assert {choice.text for choice in narrow} == {greedy[0].text}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"min_p": 1.0}, {"nvext": {"top_k": 1}}])
def test_extensions_of_openais_parameters_are_carried_out(
    client: openai.OpenAI, narrow: dict[str, object], stream: bool
) -> None:
    asked = {"model": ADAPTER, "messages": MESSAGES, "max_tokens": 12}
    greedy = client.chat.completions.create(**asked, temperature=0)  # type: ignore[call-overload]
    hot = {**asked, "temperature": 2, "seed": 5, "stream": stream, "extra_body": narrow}
    answer = client.chat.completions.create(**hot)  # type: ignore[call-overload]
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        text = answer.choices[0].message.content
    assert text == greedy.choices[0].message.content


def test_a_repetition_penalty_is_carried_out(client: openai.OpenAI) -> None:
    asked = {"model": BASE, "prompt": PROMPT, "max_tokens": 30, "temperature": 0}
    plain = client.completions.create(**asked, logprobs=0)  # type: ignore[call-overload]
    penalty = {"repetition_penalty": 1e6}
    varied = client.completions.create(**asked, logprobs=0, extra_body=penalty)  # type: ignore[call-overload]
    tokens = varied.choices[0].logprobs.tokens
    assert len(set(tokens)) == len(tokens)
    assert varied.choices[0].text != plain.choices[0].text


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_an_answer_before_it(client: openai.OpenAI, stream: bool) -> None:
    asked = {"model": ADAPTER, "prompt": PROMPT, "max_tokens": 24, "temperature": 0}
    whole = client.completions.create(**asked).choices[0].text  # type: ignore[call-overload]
    stop = whole[len(whole) // 2 :][:3]
    if stream:
        parts = [part.choices[0] for part in client.completions.create(**asked, stop=[stop], stream=True)]  # type: ignore[call-overload]
        text, reason = "".join(part.text for part in parts), parts[-1].finish_reason
    else:
        choice = client.completions.create(**asked, stop=[stop]).choices[0]  # type: ignore[call-overload]
        text, reason = choice.text, choice.finish_reason
    assert text == whole.partition(stop)[0]
    assert reason == "stop"


def test_a_stream_ends_with_done(stack: ServedStack) -> None:
    body = {"model": BASE, "prompt": PROMPT, "max_tokens": 3, "stream": True}
    answer = httpx.post(f"{stack.thread.inference_url}/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "form",
    [
        {"nvext": {"guided_choice": ["copyright", "contract-law"]}},
        {"guided_choice": ["copyright", "contract-law"]},
        {"nvext": {"guided_regex": "copyright|contract-law"}},
        {"guided_grammar": 'start: "copyright" | "contract-law"'},
        {"guided_json": {"enum": ["copyright", "contract-law"]}},
        {"structured_outputs": {"choice": ["copyright", "contract-law"]}},
        {"structured_outputs": {"regex": "copyright|contract-law"}},
        {"structured_outputs": {"json": {"enum": ["copyright", "contract-law"]}}},
        {"structured_outputs": {"json": '{"enum": ["copyright", "contract-law"]}'}},
        {"structured_outputs": {"grammar": 'start: "copyright" | "contract-law"'}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "tag", "schema": {"enum": ["copyright", "contract-law"]}},
            }
        },
    ],
)
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_all_forms_of_guidance_are_followed(stack: ServedStack, path: str, form: dict[str, object]) -> None:
    question = {"messages": MESSAGES} if path.startswith("chat") else {"prompt": PROMPT}
    body = {"model": ADAPTER, "max_tokens": 40, **question, **form}
    answer = httpx.post(f"{stack.thread.inference_url}/v1/{path}", json=body).json()
    choice = answer["choices"][0]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    assert text.strip('"') in ("copyright", "contract-law")
    assert choice["finish_reason"] == "stop"


def test_unknown_models_are_not_found_in_every_client_s_words(
    client: openai.OpenAI, stack: ServedStack
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="tests/unknown", prompt=PROMPT)
    assert caught.value.body is not None
    answer = httpx.post(
        f"{stack.thread.inference_url}/v1/completions", json={"model": "tests/unknown", "prompt": "x"}
    )
    assert "tests/unknown" in answer.json()["detail"]
    assert answer.json()["error"]["code"] == 404


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ({"echo": True}, "echo"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n must"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "empty"),
        ({"prompt": [[100_000]]}, "token ids"),
        ({"prompt": "law " * 600}, "512 tokens"),
        ({"stop": list("abcde")}, "stop"),
        ({"guided_regex": "("}, "regex"),
        ({"guided_regex": "a", "nvext": {"guided_choice": ["a"]}}, "only one"),
        ({"structured_outputs": {"regex": "("}}, "regex"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "only one"),
        ({"structured_outputs": {"regex": "a"}, "guided_regex": "a"}, "only one"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "structural_tag"),
        ({"response_format": {"type": "xml"}}, "xml"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"top_k": -2}, "top_k"),
        ({"nvext": {"min_p": 2}}, "min_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"min_tokens": 3}, "min_tokens"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_honoured_is_refused_with_a_reason(
    stack: ServedStack, wrong: dict[str, object], reason: str, stream: bool
) -> None:
    body = {"model": BASE, "prompt": PROMPT, "stream": stream, **wrong}
    answer = httpx.post(f"{stack.thread.inference_url}/v1/completions", json=body)
    assert answer.status_code == 400
    assert reason in answer.json()["detail"]
    assert reason in answer.json()["error"]["message"]


def test_embeddings_are_not_offered(stack: ServedStack) -> None:
    answer = httpx.post(f"{stack.thread.inference_url}/v1/embeddings", json={"model": BASE, "input": "x"})
    assert answer.status_code == 501


def test_many_callers_at_once_get_what_one_would(client: openai.OpenAI) -> None:
    def ask(number: int) -> str:
        model = ADAPTER if number % 2 else BASE
        asked = client.completions.create(
            model=model, prompt=f"Title: {number}\nTags:", max_tokens=8, temperature=0
        )
        return asked.choices[0].text

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, range(16)))
    assert together == [ask(number) for number in range(16)]


def test_the_official_sdk_asks_and_lists(stack: ServedStack) -> None:
    from nemo_microservices import NeMoMicroservices

    with NeMoMicroservices(
        base_url=stack.thread.platform_url, inference_base_url=stack.thread.inference_url
    ) as sdk:
        chat = sdk.chat.completions.create(
            model=ADAPTER, messages=[{"role": "user", "content": "law"}], max_tokens=4
        )
        assert chat.choices[0].message.role == "assistant"
        completion = sdk.completions.create(
            model=ADAPTER, prompt=PROMPT, max_tokens=1, extra_body={"logprobs": 5}
        )
        assert completion.choices[0].logprobs is not None
        listed = sdk.inference.models.list()
        assert ADAPTER in [model["id"] for model in json.loads(listed.to_json())["data"]]


def test_a_killed_worker_is_restarted(stack: ServedStack, client: openai.OpenAI) -> None:
    before = client.completions.create(model=ADAPTER, prompt=PROMPT, max_tokens=8, temperature=0)
    status = httpx.get(f"{stack.thread.platform_url}/v1/stack/status").json()
    pid = status["services"]["nim"]["workers"][BASE]
    assert status["services"]["nim"]["computing"][BASE] == Compute.choose().described
    os.kill(pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            after = client.completions.create(model=ADAPTER, prompt=PROMPT, max_tokens=8, temperature=0)
        except openai.InternalServerError as error:
            assert error.status_code == 503
            return False
        return after.choices[0].text == before.choices[0].text

    wait_for(answers, 60)


def _hang_up(stack: ServedStack, body: dict[str, object], seconds: float) -> None:
    """Ask, and leave before there is an answer."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{stack.thread.inference_url}/v1/completions", json=body, timeout=seconds)


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _nim(stack: ServedStack) -> dict[str, dict[str, int]]:
    found = httpx.get(f"{stack.thread.platform_url}/v1/stack/status").json()["services"]["nim"]
    assert isinstance(found, dict)
    return found


def test_clients_that_disconnect_while_a_model_loads_do_not_block_others(
    stack: ServedStack, client: openai.OpenAI
) -> None:
    client.completions.create(model=BASE, prompt=PROMPT, max_tokens=1)
    pid = _nim(stack)["workers"][BASE]
    # What it was forked from ends it, too, and has to import everything again.
    os.kill(_parent(pid), signal.SIGKILL)
    wait_for(lambda: _is_over(pid))
    body: dict[str, object] = {"model": ADAPTER, "prompt": PROMPT, "max_tokens": 3}
    for seconds, stream in ((0.05, False), (0.05, True), (0.3, False), (0.3, True)):
        _hang_up(stack, {**body, "stream": stream}, seconds)
    answered = client.completions.create(model=ADAPTER, prompt=PROMPT, max_tokens=3)
    assert answered.choices[0].text
    assert _nim(stack)["rows"][BASE] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_abandoned_answers_are_not_generated(stack: ServedStack, client: openai.OpenAI, stream: bool) -> None:
    client.completions.create(model=ADAPTER, prompt=PROMPT, max_tokens=1)
    # As much as one request may ask for: minutes of work, so that only giving it up ends it soon.
    body = {"model": ADAPTER, "prompt": [PROMPT] * 8, "n": 128, "max_tokens": 400, "ignore_eos": True}
    with (
        httpx.stream(
            "POST",
            f"{stack.thread.inference_url}/v1/completions",
            json={**body, "stream": stream},
            timeout=600,
        )
        if stream
        else _asked(stack, body)
    ):
        assert _nim(stack)["rows"][BASE] == 8 * 128
    wait_for(lambda: _nim(stack)["rows"][BASE] == 0)
    assert client.completions.create(model=ADAPTER, prompt=PROMPT, max_tokens=1).choices


@contextmanager
def _asked(stack: ServedStack, body: dict[str, object]) -> Iterator[None]:
    """A request that is under way, and whose client hangs up at the end."""
    address = httpx.URL(stack.thread.inference_url)
    content = json.dumps(body).encode()
    with socket.create_connection((address.host, address.port or 80)) as connection:
        lines = ["POST /v1/completions HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
        connection.sendall(head.encode() + content)
        wait_for(lambda: _nim(stack)["rows"][BASE] > 0)
        yield


def test_a_new_adapter_appears_after_the_refresh_and_a_deleted_one_goes(
    stack: ServedStack, client: openai.OpenAI, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "second", stack.base, seed=5, lora_alpha=32)
    stack.put_model("second@v1", adapter, base_model=BASE, peft={"finetuning_type": "lora"})
    stack.wait_until_served("tests/second@v1")
    client.completions.create(model="tests/second@v1", prompt=PROMPT, max_tokens=2)
    httpx.delete(f"{stack.thread.platform_url}/v1/models/tests/second@v1").raise_for_status()
    wait_for(lambda: "tests/second@v1" not in stack.served())
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="tests/second@v1", prompt=PROMPT, max_tokens=2)


def test_a_full_model_is_served_through_a_deployment(
    stack: ServedStack, client: openai.OpenAI, tmp_path: Path
) -> None:
    other = make_model(tmp_path / "full", seed=9)
    stack.put_model("full@cust-2", other, base_model=BASE, peft={"finetuning_type": "all_weights"})
    url = f"{stack.thread.platform_url}/v1/deployment/model-deployments"
    body = {"name": "full", "namespace": "tests", "config": {"model": "tests/full@cust-2"}}
    httpx.post(url, json=body).raise_for_status()
    # Ready once the model is loaded, which the first request waited for before.
    wait_for(lambda: httpx.get(f"{url}/tests/full").json()["status_details"]["status"] == "ready", 240)
    full = client.completions.create(model="tests/full@cust-2", prompt=PROMPT, max_tokens=8, temperature=0)
    base = client.completions.create(model=BASE, prompt=PROMPT, max_tokens=8, temperature=0)
    assert full.choices[0].text != base.choices[0].text
    httpx.delete(f"{url}/tests/full").raise_for_status()
    wait_for(lambda: "tests/full@cust-2" not in stack.served())


def test_a_precision_that_the_processor_lacks_is_told(tmp_path: Path) -> None:
    from lawtags_client.errors import ConfigurationError

    base = make_model(tmp_path / "base")
    options = StackOptions(base_models={BASE: base}, inference_precision="bfloat16")
    try:
        expected = (200, Compute.choose(precision="bfloat16").described)
    except ConfigurationError as error:
        expected = (503, error.message)
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as thread:
        asked = {"model": BASE, "prompt": PROMPT, "max_tokens": 2}
        answer = httpx.post(f"{thread.inference_url}/v1/completions", json=asked, timeout=120)
        status = httpx.get(f"{thread.platform_url}/v1/stack/status").text
    assert answer.status_code == expected[0]
    assert expected[1] in (status if answer.is_success else answer.text)
