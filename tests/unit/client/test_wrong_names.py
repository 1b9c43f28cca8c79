"""Names of things that do not exist, and of hosts that do not resolve: the hint is about the name."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from client_kit import PLATFORM, Script, StillTime, client

from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError, ConnectionFailedError, NotFoundError


async def test_training_on_a_dataset_that_does_not_exist_says_how_to_upload_it(tmp_path: Path) -> None:
    script = Script([httpx.Response(404, json={"detail": "Dataset law/tag not found"})])
    with pytest.raises(NotFoundError) as caught:
        await client(script, tmp_path).customizer.jobs.get("cust-1")
    assert "lawtags upload" in (caught.value.hint or "") and "address" not in (caught.value.hint or "")


async def test_scoring_a_dataset_that_does_not_exist_says_how_to_upload_it(tmp_path: Path) -> None:
    script = Script([httpx.Response(404, json={"detail": "Repository not found"})])
    with pytest.raises(NotFoundError, match="no dataset law/nosuch") as caught:
        await client(script, tmp_path).evaluator.evaluate(
            dataset="law/nosuch", model="law/tagger", metrics=["f1"]
        )
    assert "lawtags upload" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["base", "", "a/b/c", "/base"])
async def test_a_deployment_needs_a_namespace(name: str, tmp_path: Path) -> None:
    script = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match=r"deployment .* is not of the form namespace/name"):
        await client(script, tmp_path).deployments.deploy(name, model="law/tagger@v1")
    assert not script.requests


async def test_a_host_that_does_not_resolve_is_told_from_one_that_is_down() -> None:
    def unknown(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Name or service not known") from socket.gaierror(-2, "unknown")

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused") from ConnectionRefusedError(111, "refused")

    for fault, hint in ((unknown, "Check the host name"), (down, "Check that the service is running")):
        nemo = NeMo(base_url=PLATFORM, handler=httpx.MockTransport(fault), clock=StillTime().clock())
        with pytest.raises(ConnectionFailedError) as caught:
            await nemo.customizer.jobs.get("cust-1")
        assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("wrong", [None, 7, b"cust-1", Path("cust-1")])
async def test_a_name_that_is_no_text_is_refused(wrong: object, tmp_path: Path) -> None:
    script = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match=r"the name is (None|of the type)"):
        await client(script, tmp_path).customizer.jobs.get(wrong)  # type: ignore[arg-type]
    assert not script.requests


async def test_an_unknown_argument_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    script = Script([httpx.Response(500)])
    with pytest.raises(ConfigurationError, match="unknown argument title") as caught:
        await client(script, tmp_path).entity_store.namespaces.create(title="law")
    hint = caught.value.hint or ""
    assert hint.startswith("Known are: id, description, ") and "extra_body" in hint
    with pytest.raises(ConfigurationError, match="unknown argument desciption") as caught:
        await client(script, tmp_path).entity_store.namespaces.create(id="law", desciption="x")
    assert (caught.value.hint or "").startswith("Did you mean description?")
    assert not script.requests
