"""Embeddings by an encoder in a folder, as the openai client asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tiny_models import make_encoder

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

MODEL = "tests/encoder"
TEXTS = ["Is a verbal lease binding?", "lease", "Who owns a photo taken at work, and who may sell it?"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StackThread, Path]]:
    folder = tmp_path_factory.mktemp("embeddings")
    encoder = make_encoder(folder / "encoder")
    options = StackOptions(embedding_models={MODEL: encoder}, inference_threads=1)
    with StackThread(folder / "stack", options=options) as running:
        yield running, encoder


@pytest.mark.slow
def test_vectors_are_the_mean_of_the_last_states(stack: tuple[StackThread, Path]) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    running, folder = stack
    with openai.OpenAI(base_url=f"{running.inference_url}/v1", api_key="any") as client:
        assert MODEL in [each.id for each in client.models.list()]
        found = client.embeddings.create(model=MODEL, input=TEXTS)  # asks for base64 by itself
        plain = client.embeddings.create(model=MODEL, input=TEXTS[1], encoding_format="float")
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for text, each in zip(TEXTS, found.data, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(1)[0]
        assert each.embedding == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)
    assert plain.data[0].embedding == pytest.approx(found.data[1].embedding, abs=1e-6)
    assert plain.usage.prompt_tokens == len(tokenizer(TEXTS[1])["input_ids"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input": "law " * 200}, 400),
        ({"input": "law " * 200, "truncate": "END"}, 200),
        ({"input": "law " * 200, "truncate": "START"}, 200),
        ({"input": "law", "truncate": "MIDDLE"}, 400),
        ({"input": []}, 400),
        ({"input": "law", "dimensions": 16}, 200),
        ({"input": "law", "dimensions": 8}, 400),
        ({"input": "law", "model": "tests/other"}, 404),
        ({}, 422),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    stack: tuple[StackThread, Path], fields: dict[str, Any], status: int
) -> None:
    answer = httpx.post(f"{stack[0].inference_url}/v1/embeddings", json={"model": MODEL} | fields, timeout=60)
    assert answer.status_code == status, answer.text


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", " ", "\x00", "\u202e\U000e0001", "a" * 100_000])
def test_an_odd_text_leaves_the_encoder_at_work(stack: tuple[StackThread, Path], text: str) -> None:
    url = f"{stack[0].inference_url}/v1/embeddings"
    odd = httpx.post(url, json={"model": MODEL, "input": ["law", text]}, timeout=60)
    assert odd.status_code in (200, 400), odd.text
    assert httpx.post(url, json={"model": MODEL, "input": "law"}, timeout=60).status_code == 200
