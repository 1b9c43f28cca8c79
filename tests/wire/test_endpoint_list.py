"""The list of endpoints is full, and what it names exists."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache, reduce
from pathlib import Path

import nemo_microservices
import pytest
from client_kit import client
from endpoint_list import ROOT, Endpoint, endpoints

from lawtags_client import sync

# What the client leaves to others; everything else that the official SDK speaks has to be in the list.
LEFT_OUT = (
    "/v1/guardrail",
    "/v1/jobs",
    "/v1/data-designer",
    "/v1/intake",
    "/v1beta1/",
    "/v2/inference",
    "/v2/models",
)
SENDERS = {name: name[1:].upper() for name in ("_get", "_post", "_patch", "_put", "_delete")}
SENDERS["_get_api_list"] = "GET"


def bare(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@cache
def spoken_by_the_sdk() -> frozenset[tuple[str, str]]:
    """Method and path of each request in the sources of the official SDK."""
    found = set()
    for source in (Path(nemo_microservices.__file__).parent / "resources").rglob("*.py"):
        for call in ast.walk(ast.parse(source.read_text("utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
                continue
            method, path = SENDERS.get(call.func.attr), _text(call.args[0])
            if method and path and not path.startswith(LEFT_OUT):
                found.add((method, bare(path)))
    return frozenset(found)


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_every_endpoint_that_the_official_sdk_speaks_is_in_the_list() -> None:
    listed = {(endpoint.method, bare(endpoint.path)) for endpoint in endpoints()}
    assert len(spoken_by_the_sdk()) > 80
    assert sorted(spoken_by_the_sdk() - listed) == []


def test_list_invents_no_endpoint() -> None:
    # The official SDK does not speak to the Data Store at all.
    listed = {
        (endpoint.method, bare(endpoint.path))
        for endpoint in endpoints()
        if endpoint.service != "Data Store" and endpoint.path != "/v1/models"
    }
    assert sorted(listed - spoken_by_the_sdk()) == []


def test_no_row_stands_there_twice() -> None:
    rows = [(endpoint.method, endpoint.path, endpoint.call) for endpoint in endpoints()]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_method_and_test_of_an_endpoint_exist(endpoint: Endpoint, tmp_path: Path) -> None:
    nemo = client(lambda _: pytest.fail("nothing is sent here"), tmp_path)
    method = reduce(getattr, endpoint.call.split("."), nemo)
    assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    assert inspect.signature(method).return_annotation is not inspect.Signature.empty
    assert callable(reduce(getattr, endpoint.call.split("."), sync.NeMo.of(nemo)))
    assert endpoint.test in _tests_in(endpoint.test.partition("::")[0])


@cache
def _tests_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(f"{path}::{node.name}" for node in tree.body if isinstance(node, kinds))
