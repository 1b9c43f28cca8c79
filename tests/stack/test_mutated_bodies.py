"""Bodies with one odd value: whatever it is, the answer is JSON and says what is wrong, never a 500.

``FUZZ_MUTATIONS`` says how many bodies a route gets; ``make fuzz`` asks for many.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from bodies_of_routes import EXAMPLES, NDJSON, Example, Port, prepare
from body_mutations import Mutation, mutations, sampled

from lawtags_stack.chaos.plan import ChaosPlan
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

NUMBER = int(os.environ.get("FUZZ_MUTATIONS", "5"))
SEED = os.environ.get("FUZZ_SEED", "1")
BINARY = "application/octet-stream"
JSON = {"Content-Type": "application/json"}
# What may stand in a path or a query, percent-encoded.
ODD_PARTS = [
    b"9" * 5000, b"1" * 19, b"-1", b"1e400", b"nan", b"%", b"\xed\xa0\x80", b"\xff", b"\x00", b"a\nb", b"..",
    b"x" * 3000, b"a/b", b"@", b"[", b"{}", b" ", b"0001-01-01T00:00:00+23:59",
]  # fmt: skip
QUERIES = [
    "page", "page_size", "sort", "limit", "cursor", "page_cursor", "recursive", "search", "author", "blobs",
    "filter[name]", "filter[created_at][gte]", "filter[a][b][c]", "search[name]", "filter[limit]",
    "create_pr",
    "search[created_at][start]", "filter[peft][lora]",
]  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack whose trainings wait."""
    plan = ChaosPlan.model_validate({"schema_version": 1, "customizer": {"pending": 3600}})
    options = StackOptions(chaos=plan, refresh_interval=60)
    with StackThread(tmp_path_factory.mktemp("mutated") / "stack", options=options) as running:
        yield running


@pytest.fixture(scope="module")
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        prepare(lambda port: str(getattr(stack, f"{port}_url")), client)
        yield client


def send(
    stack: StackThread, http: httpx.Client, example: Example, body: bytes, *, path: str | None = None
) -> httpx.Response:
    base = getattr(stack, f"{example.port}_url")
    headers = NDJSON if example.lines else JSON
    return http.request(example.method, base + (path or example.path), content=body, headers=headers)


def fault(answer: httpx.Response) -> str | None:
    """What is wrong with an answer to an odd request."""
    if answer.status_code >= 500 and answer.status_code != 501:
        return f"{answer.status_code} {answer.text[:300]}"
    if answer.content and "json" in answer.headers.get("content-type", ""):
        try:
            json.loads(answer.content.decode("utf-8"), parse_constant=lambda name: pytest.fail(name))
        except ValueError as error:
            return f"{answer.status_code}, and the answer is not JSON: {error}"
    elif answer.status_code >= 400:
        return f"{answer.status_code}, and the answer is no JSON: {answer.text[:100]!r}"
    return None


def encoded(example: Example) -> bytes:
    if example.lines:
        return "\n".join(map(json.dumps, example.body)).encode()
    return json.dumps(example.body).encode()


def mutated(example: Example, index: int) -> Iterator[Mutation]:
    seed = f"{SEED} {index} {example.route}"
    if not example.lines:
        yield from sampled(example.body, NUMBER, seed)
        return
    for number, line in enumerate(example.body):
        before, after = (
            [json.dumps(each).encode() for each in part]
            for part in (example.body[:number], example.body[number + 1 :])
        )
        for each in sampled(line, max(1, NUMBER // len(example.body)), f"{seed} {number}"):
            yield Mutation(f"{number}/{each.place}", each.what, b"\n".join([*before, each.body, *after]))


@pytest.mark.parametrize("port", ["platform", "data_store", "inference"])
def test_every_route_that_reads_a_body_has_an_example(
    stack: StackThread, http: httpx.Client, port: Port
) -> None:
    document = http.get(f"{getattr(stack, f'{port}_url')}/openapi.json").json()
    wanted = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if BINARY not in operation.get("requestBody", {"content": [BINARY]})["content"]
    }
    assert wanted == {(each.method, each.route) for each in EXAMPLES if each.port == port}


def test_odd_values_in_bodies_are_refused_or_taken(stack: StackThread, http: httpx.Client) -> None:
    faults = []
    for index, example in enumerate(EXAMPLES):
        result = http.post(f"{stack.platform_url}/v1/evaluation/results", json={"job": "j"}).json()["id"]
        path = example.path.replace("{result}", result)
        for each in mutated(example, index):
            wrong = fault(send(stack, http, example, each.body, path=path))
            if wrong:
                faults.append(f"{example.method} {example.route}, {each.place} is {each.what}: {wrong}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


def test_the_examples_are_valid_as_they_stand(stack: StackThread, http: httpx.Client) -> None:
    result = http.post(f"{stack.platform_url}/v1/evaluation/results", json={"job": "j"}).json()["id"]
    faults = []
    for example in EXAMPLES:
        answer = send(stack, http, example, encoded(example), path=example.path.replace("{result}", result))
        # Those that a mutation happened to make before are there already.
        if answer.status_code not in (example.status, 409):
            faults.append(f"{example.method} {example.route}: {answer.status_code} {answer.text[:300]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("port", ["platform", "data_store", "inference"])
def test_odd_parts_of_paths_and_queries_are_refused_or_taken(
    stack: StackThread, http: httpx.Client, port: Port
) -> None:
    base = getattr(stack, f"{port}_url")
    document = http.get(f"{base}/openapi.json").json()
    chance, faults = random.Random(SEED), []
    every = [quote(part, safe="") for part in ODD_PARTS]
    for path, operations in document["paths"].items():
        for method in operations:
            for part in chance.sample(every, max(1, min(len(every), NUMBER // 5))):
                place = re.sub(r"\{\w+\}", part, path)
                query = f"?{quote(chance.choice(QUERIES))}={chance.choice(every)}" if method == "get" else ""
                if len(place) > 60_000:
                    continue
                wrong = fault(http.request(method, base + place + query, headers=JSON, content=b""))
                if wrong:
                    faults.append(f"{method} {place[:200]}{query[:200]}: {wrong}")
    for path in [path for path, found in document["paths"].items() if "get" in found and "{" not in path]:
        for name in QUERIES:
            for part in chance.sample(every, max(1, min(len(every), NUMBER // 6))):
                wrong = fault(http.get(f"{base}{path}?{quote(name)}={part}"))
                if wrong:
                    faults.append(f"get {path}?{name}={part[:100]}: {wrong}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


def test_every_odd_value_is_sent_to_one_route(stack: StackThread, http: httpx.Client) -> None:
    example = next(each for each in EXAMPLES if each.route == "/v1/datasets")
    for make in mutations({"name": "x", "custom_fields": {"a": 1}}):
        each = make()
        assert fault(send(stack, http, example, each.body)) is None, (each.place, each.what)
