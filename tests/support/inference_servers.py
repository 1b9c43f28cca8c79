"""Small inference servers that follow the published schemas of real ones.

They differ in how they identify themselves, which fields constrain an answer, and what happens to unknown
fields.

* NIM 1.13 and 1.15: ``GET /v1/version``, ``nvext.guided_*``.
* NIM 2.1: ``GET /v1/version``, ``structured_outputs``; ``nvext`` is ignored.
* vLLM: ``GET /version``; before 0.12 ``guided_*`` and ``structured_outputs``, then only the latter.
* SGLang: ``owned_by``; ``regex``, ``json_schema`` (a text) and ``ebnf`` in completions, ``response_format``.
* OpenAI: ``response_format`` in chats; other fields are rejected, or ignored by imitations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

MODEL = "law/tagger"
PROSE = " I think it is about contract law, and perhaps about taxes"
Held = Callable[[Mapping[str, Any], bool], Mapping[str, Any] | str | None]
"""Returns the constraint of a request (a chat or not), an error message, or None."""


@dataclass
class InferenceServer:
    """A server with one model.

    Args:
        held: returns the constraint of a request.
        versions: responses that identify the server, by path.
        owner: ``owned_by`` of its model.
        free: the model's answer without a constraint.
    """

    held: Held
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    owner: str = "system"
    free: str = PROSE
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            if path == "/v1/models":
                listed = {"id": MODEL, "object": "model", "owned_by": self.owner, "root": MODEL}
                return httpx.Response(200, json={"object": "list", "data": [listed]})
            found = self.versions.get(path)
            return httpx.Response(200 if found else 404, json=found or {"detail": "Not Found"})
        body = json.loads(request.read())
        self.asked.append(body)
        chat = path.endswith("/chat/completions")
        constraint = self.held(body, chat)
        if isinstance(constraint, str):
            error = {"message": constraint, "type": "invalid_request_error", "param": None, "code": None}
            return httpx.Response(400, json={"error": error})
        prompts = body["prompt"] if isinstance(body.get("prompt"), list) else [body.get("prompt")]
        text = _written(constraint) if constraint else self.free
        choices = [
            {"index": index, "finish_reason": "stop"}
            | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            for index in range(len(prompts))
        ]
        return httpx.Response(200, json={"id": "a", "object": "x", "choices": choices})

    @property
    def probes(self) -> int:
        """Number of requests that are not inference."""
        return sum("Title" not in json.dumps(body) for body in self.asked)


def _written(constraint: Mapping[str, Any]) -> str:
    """The first text that satisfies a constraint."""
    if "json" in constraint:
        schema = constraint["json"]
        schema = json.loads(schema) if isinstance(schema, str) else schema
        return json.dumps({"tags": [schema["properties"]["tags"]["items"]["enum"][0]]})
    if "choice" in constraint:
        return str(constraint["choice"][0])
    # Take the first of alternatives, and skip optional parts.
    pattern = re.sub(r"\(\?:[^()]*\([^()]*\)[^()]*\)\{0,\d+\}", "", constraint["regex"])
    return re.sub(r" \?|\(\?:([^|()]*)[^()]*\)", r"\1", pattern)


def _guided(fields: Mapping[str, Any]) -> Mapping[str, Any] | str | None:
    found = {
        name.removeprefix("guided_"): value for name, value in fields.items() if name.startswith("guided_")
    }
    return found or None


def _formatted(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = body.get("response_format")
    return {"json": form["json_schema"]["schema"]} if form else None


def nim_1(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    return _guided(body.get("nvext") or {}) or _formatted(body)


def vllm_0_11(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    return vllm_0_12(body, chat) or _guided(body)


def vllm_0_12(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    asked = body.get("structured_outputs") or {}
    if asked and body.get("response_format"):
        return "You can only use one kind of structured outputs constraint"
    return asked or _formatted(body)


def sglang(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    if not chat and "regex" in body:
        return {"regex": body["regex"]}
    if not chat and "json_schema" in body:
        return {"json": json.loads(body["json_schema"])}
    return _formatted(body)


_OPENAI = {"model", "messages", "prompt", "max_tokens", "temperature", "stop", "logprobs", "top_logprobs"}


def openai_strict(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    unknown = sorted(set(body) - _OPENAI - ({"response_format"} if chat else set()))
    if unknown:
        return f"Unrecognized request argument{'s' * (len(unknown) > 1)} supplied: {', '.join(unknown)}"
    return _formatted(body) if chat else None


def openai_lenient(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
    return _formatted(body) if chat else None


SERVERS: dict[str, Callable[[], InferenceServer]] = {
    "NIM 1.13": lambda: InferenceServer(nim_1, {"/v1/version": {"release": "1.13.1", "api": "1.13.1"}}),
    "NIM 1.15": lambda: InferenceServer(nim_1, {"/v1/version": {"release": "1.15.4", "api": "1.15.4"}}),
    "NIM 2.1": lambda: InferenceServer(
        vllm_0_12, {"/v1/version": {"release": "2.1.6", "api": "2.1.6"}}, "vllm"
    ),
    "NIM 2.1 of SGLang": lambda: InferenceServer(
        sglang, {"/v1/version": {"release": "2.1.6", "api": "2.1.6"}}, "sglang"
    ),
    "vLLM 0.10": lambda: InferenceServer(
        lambda body, chat: _guided(body) or _formatted(body), {"/version": {"version": "0.10.2"}}, "vllm"
    ),
    "vLLM 0.11": lambda: InferenceServer(vllm_0_11, {"/version": {"version": "0.11.0"}}, "vllm"),
    "vLLM 0.12": lambda: InferenceServer(vllm_0_12, {"/version": {"version": "0.12.0"}}, "vllm"),
    "vLLM 0.24": lambda: InferenceServer(
        vllm_0_12, {"/version": {"version": "0.24.1rc1.dev3+g1a2b3c"}}, "vllm"
    ),
    "SGLang": lambda: InferenceServer(sglang, owner="sglang"),
    "OpenAI": lambda: InferenceServer(openai_strict, owner="openai"),
}
"""Servers by name, in their default setup."""

HIDDEN: dict[str, Callable[[], InferenceServer]] = {
    "NIM 1 behind a proxy": lambda: InferenceServer(nim_1),
    "vLLM 0.11 behind a proxy": lambda: InferenceServer(vllm_0_11, owner="team"),
    "vLLM of today behind a proxy": lambda: InferenceServer(vllm_0_12, owner="team"),
    "SGLang behind a proxy": lambda: InferenceServer(sglang, owner="team"),
    "a build of vLLM": lambda: InferenceServer(vllm_0_12, {"/version": {"version": "0.1.dev1+g1"}}, "vllm"),
    "strict as OpenAI": lambda: InferenceServer(openai_strict, owner="team"),
    "lenient as OpenAI": lambda: InferenceServer(openai_lenient, owner="team"),
    "nothing known": lambda: InferenceServer(lambda body, chat: None, owner="team"),
}
"""Servers that do not identify themselves."""
