"""Whatever one request holds ends that request alone: the worker lives on, and others get the same answer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.torch import load_file, save_file
from served_stack import ADAPTER, BASE, ServedStack, served_stack
from tiny_models import make_adapter, make_model

PROMPT = "Title: Can pricing be trademarked?\nTags:"
REFERENCE = {"model": ADAPTER, "prompt": PROMPT, "max_tokens": 10, "temperature": 0, "logprobs": 3}
TINY = (5e-324, 1e-300, 1e-45, 1e-39, 1e-8)
FIELDS: dict[str, tuple[Any, ...]] = {
    "temperature": (*TINY, 0, -0.0, 2, 3, -1, 1e400, "hot", None, True),
    "top_p": (*TINY, 0, 1, 1.1, "x", None),
    "frequency_penalty": (-2, 2, 1e39, -1e400, 1e-45),
    "presence_penalty": (-2, 2, 1e39, 1e400),
    "top_k": (-1, 0, 1, 2**31 - 1, 2**70, -2, 1.5, "x"),
    "min_p": (*TINY, 0, 1, 1.1, -1),
    "repetition_penalty": (*TINY, 0, 1e39, 1e308, -1, "x"),
    "seed": (0, -1, 2**63, 2**64, -(2**200), 1.5, "s"),
    "n": (0, 1, 2, 129, -1, 10**30, 1.5),
    "max_tokens": (0, 1, 3, -5, 2**31, 10**40, 501, 0.5),
    "stop": ("", "a", [""], ["x"] * 5, "y" * 100_000, ["\ud800", "é"], [None]),
    "logprobs": (0, 1, 20, 21, 399, 401, -1, 10**9),
    "logit_bias": ({"1": 1}, {"-1": 1e400}, {"x": "y"}, {}),
    "ignore_eos": (True, None),
    "stream": (True,),
    "guided_choice": (["a", "b"], [], [""], ["\ud800"], ["x" * 5000]),
    "guided_regex": ("(a+)+$", "(", "[^\\x00-\\x{10FFFF}]", "a{1,99999}", ".*.*.*.*=.*", "(?!a)b", "\ud800"),
    "guided_json": ({"$ref": "#"}, {"type": "none"}, {"not": {}}, {"enum": []}, {"minItems": 10**9}),
    "guided_grammar": ('start: start', 'start: "a" start', "start:", "start: /(/", "\ud800", ""),
    "prompt": (
        "", [], [[]], [[], [1]], [-1], [10**6], [2**70], [1, "a"], [True], ["", "a"], "\ud800", "\x00",
        "<eos><bos><pad>", [1, 2, 0, 3], "x" * 5000, [[1] * 600], ["a"] * 50, "🙂" * 50, [1.5], {"a": 1},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStack]:
    folder = tmp_path_factory.mktemp("hostile")
    base = make_model(folder / "base")
    adapter = make_adapter(folder / "adapter", base, lora_alpha=32)
    with served_stack(folder / "stack", base, adapter) as served:
        yield served


def ask(stack: ServedStack, body: dict[str, Any], path: str = "completions") -> httpx.Response:
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    url = f"{stack.thread.inference_url}/v1/{path}"
    return httpx.post(url, content=content, headers=headers, timeout=120)


def worker(stack: ServedStack) -> int:
    found = httpx.get(f"{stack.thread.platform_url}/v1/stack/status").json()
    return int(found["services"]["nim"]["workers"][BASE])


def reference(stack: ServedStack) -> tuple[str, list[str], list[float]]:
    answer = ask(stack, REFERENCE)
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    scores = choice["logprobs"]
    return choice["text"], scores["tokens"], scores["token_logprobs"]


def unchanged(stack: ServedStack, before: tuple[str, list[str], list[float]], pid: int) -> bool:
    """Whether the worker is the same, and the reference gets the same answer."""
    text, tokens, logprobs = reference(stack)
    # The last bits of probabilities depend on what a batch shares.
    same = logprobs == pytest.approx(before[2], abs=1e-4)
    return worker(stack) == pid and (text, tokens) == before[:2] and bool(same)


def made_up(random: random.Random) -> dict[str, Any]:
    """A request with one to three fields that somebody might send to do harm."""
    body: dict[str, Any] = {"model": random.choice([BASE, ADAPTER]), "prompt": PROMPT, "max_tokens": 5}
    for name in random.sample(list(FIELDS), random.choice([1, 1, 2, 3])):
        body[name] = random.choice(FIELDS[name])
    return body


def singles() -> list[dict[str, Any]]:
    return [
        {"model": ADAPTER, "prompt": PROMPT, "max_tokens": 5, name: value}
        for name, values in FIELDS.items()
        for value in values
    ]


def test_no_request_ends_the_worker_or_changes_what_others_get(stack: ServedStack) -> None:
    before, pid = reference(stack), worker(stack)
    chance = random.Random(5)
    bodies = [*singles(), *(made_up(chance) for _ in range(40))]
    with ThreadPoolExecutor(6) as pool:
        for start in range(0, len(bodies), 24):
            answers = list(pool.map(lambda body: ask(stack, body), bodies[start : start + 24]))
            for body, answer in zip(bodies[start:], answers, strict=False):
                assert answer.status_code < 500, (str(body)[:300], answer.text[:300])
            assert unchanged(stack, before, pid)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "\ud800"}],
        [{"role": "user", "content": None}],
        [{"role": "\x00" * 50, "content": "<eos>"}],
        [{"role": "user", "content": [{"type": "text", "text": None}]}],
        [{"role": "user", "content": [{"type": "text"}, {}]}],
        [{"role": "user"}],
        [{"role": "user", "content": "x" * 20_000}],
        [{"role": "assistant", "content": "a", "tool_calls": [{"function": {"arguments": "{"}}]}] * 3,
    ],
)
def test_no_conversation_ends_the_worker(stack: ServedStack, messages: list[Any]) -> None:
    before, pid = reference(stack), worker(stack)
    answer = ask(stack, {"model": BASE, "messages": messages, "max_tokens": 3}, "chat/completions")
    assert answer.status_code < 500, answer.text
    assert unchanged(stack, before, pid)


def test_an_adapter_that_is_none_is_refused_and_the_worker_lives(stack: ServedStack, tmp_path: Path) -> None:
    before, pid = reference(stack), worker(stack)
    weights = load_file(stack.adapter / "adapter_model.safetensors")
    config = (stack.adapter / "adapter_config.json").read_text("utf-8")
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "list": ("[]", weights),
        "deep": ("[" * 50_000 + "]" * 50_000, weights),
        "rank": (config, {name: tensor[:0].contiguous() for name, tensor in weights.items()}),
        "other": (json.dumps({**json.loads(config), "r": 64}), weights),
        "targets": (json.dumps({**json.loads(config), "target_modules": ["q_proj"]}), weights),
        "huge": (config, {name: tensor * 1e25 for name, tensor in weights.items()}),
    }
    for name, (written, tensors) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text(written, "utf-8")
        save_file(tensors, folder / "adapter_model.safetensors")
        stack.put_model(f"{name}@v1", folder, base_model=BASE, peft={"finetuning_type": "lora"})
    for name in cases:
        model = f"tests/{name}@v1"
        if name == "huge":  # finite, so that only its answers show what is wrong
            stack.wait_until_served(model)
        answer = ask(stack, {**REFERENCE, "model": model})
        assert answer.status_code in (400, 404, 500), answer.text
        assert (answer.status_code == 500) == (name == "huge"), answer.text
        assert unchanged(stack, before, pid)
