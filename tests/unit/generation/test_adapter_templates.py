"""An adapter that brings a chat template is asked with it, and the base model and other adapters are not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_models import CHAT_TEMPLATE

from lawtags_client.errors import ConfigurationError
from lawtags_stack.engines.generation.request import Sampling
from lawtags_stack.engines.generation.worker import GenerationWorker
from lawtags_stack.processes.frames import pack, receive

OWN = "{% for message in messages %}Question: {{ message['content'] }}\n{% endfor %}Tags:"
MESSAGES = [{"role": "user", "content": "Is a verbal lease binding?"}]


@pytest.fixture
def ask(engine: Any) -> Iterator[Callable[..., dict[str, Any]]]:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=GenerationWorker(engine, theirs).run)
    thread.start()
    receive(ours)  # "ready"

    def exchange(**message: Any) -> dict[str, Any]:
        ours.sendall(pack({"id": 1, **message}))
        answer = receive(ours)
        assert answer is not None
        return answer

    yield exchange
    ours.close()
    thread.join()
    theirs.close()


def test_each_model_is_asked_with_its_own_template(
    ask: Callable[..., dict[str, Any]], engine: Any, tiny_adapters: list[Path], tmp_path: Path
) -> None:
    template = tmp_path / "chat_template.jinja"
    template.write_text(OWN, "utf-8")
    files = {
        "config": str(tiny_adapters[0] / "adapter_config.json"),
        "weights": str(tiny_adapters[0] / "adapter_model.safetensors"),
    }

    def text(adapter: str | None, **asked: Any) -> tuple[str, int]:
        sampling = Sampling(max_tokens=8, temperature=0).as_json()
        found = ask(op="generate", adapter=adapter, sampling=sampling, **asked)
        return found["answers"][0]["text"], found["prompt_tokens"]

    def expected(adapter: str | None, prompt: str) -> tuple[str, int]:
        tokens = engine.encoder._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return text(adapter, prompts=[tokens])

    usual = f"<|user|>{MESSAGES[0]['content']}<eos>\n<|assistant|>"
    own = f"Question: {MESSAGES[0]['content']}\nTags:"
    assert ask(op="add_adapter", name="own", template=str(template), **files)["event"] == "ok"
    assert text("own", messages=MESSAGES) == expected("own", own) != expected("own", usual)
    assert text(None, messages=MESSAGES) == expected(None, usual)
    assert text("all", messages=MESSAGES) == expected("all", usual)
    # Replaced by one without, the name goes with the base model's template again.
    assert ask(op="add_adapter", name="own", template=None, **files)["event"] == "ok"
    assert text("own", messages=MESSAGES) == expected("own", usual)


@pytest.mark.parametrize("content", [b"\xff", b"x" * ((1 << 20) + 1), None])
def test_a_template_that_cannot_be_read_keeps_its_adapter_from_being_loaded(
    engine: Any, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "chat_template.jinja"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="chat template"):
        engine.encoder.with_template(path)
    assert engine.encoder._tokenizer.chat_template == CHAT_TEMPLATE
