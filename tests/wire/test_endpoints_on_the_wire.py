"""Endpoints that no model of the embedded stack answers: what is sent, and how an answer is read."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from client_kit import Script, client

from lawtags_client.errors import ProtocolError
from lawtags_client.types.inference import ClassifyRequest, EmbeddingRequest


async def test_texts_become_vectors(tmp_path: Path) -> None:
    vectors = [{"object": "embedding", "index": index, "embedding": [0.5, index]} for index in range(2)]
    script = Script([httpx.Response(200, json={"object": "list", "data": vectors, "model": "nv/embed"})])
    async with client(script, tmp_path) as nemo:
        request = EmbeddingRequest(model="nv/embed", input=["a", "b"], input_type="query")
        answer = await nemo.inference.embed(request)
    assert [vector.embedding for vector in answer.data] == [[0.5, 0], [0.5, 1]]
    assert script.paths == ["POST /v1/embeddings"]
    assert json.loads(script.requests[0].content) == {
        "model": "nv/embed",
        "input": ["a", "b"],
        "input_type": "query",
    }


async def test_texts_are_classified(tmp_path: Path) -> None:
    script = Script([httpx.Response(200, json={"scores": {"contract-law": 0.9}})])
    async with client(script, tmp_path) as nemo:
        found = await nemo.inference.classify(ClassifyRequest(model="law/classes", input="Is it binding?"))
    assert found == {"scores": {"contract-law": 0.9}}
    assert script.paths == ["POST /v1/classify"]


async def test_list_where_an_object_is_promised_is_a_protocol_error(tmp_path: Path) -> None:
    script = Script([httpx.Response(200, json=[1])])
    async with client(script, tmp_path) as nemo:
        with pytest.raises(ProtocolError):
            await nemo.inference.classify(ClassifyRequest(model="law/classes", input="x"))
