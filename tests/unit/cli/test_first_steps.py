"""What a person meets first: a missing extra, the wrong address, a hint that is pasted into a shell."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from client_kit import client
from raw_server import RawServer, answer, send

from lawtags_client import sync, tag
from lawtags_client.cache import CACHE_VARIABLE
from lawtags_client.cli.demo import _asking
from lawtags_client.client import NeMo
from lawtags_client.errors import (
    ConfigurationError,
    ConnectionFailedError,
    LawtagsError,
    MissingExtraError,
    NotFoundError,
    ProtocolError,
)
from lawtags_client.extras import MARKERS, absent, explained, require
from lawtags_client.settings import Settings

REGISTRY = {"object": "list", "data": [{"namespace": "law", "name": "tagger"}], "pagination": {"page": 1}}
SERVED = {"object": "list", "data": [{"id": "law/tagger@v2"}, {"id": "law/tagger@v1"}, {"id": "law/base"}]}


def _without(package: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of lawtags where a package is not installed."""
    code = (
        "import sys, importlib.abc\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name.partition('.')[0] in {package.split()!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        f"absent = {package.split()!r}\n"
        "importlib.util.find_spec = lambda name, *a: None if name in absent else found(name, *a)\n"
        f"sys.argv = ['lawtags', *{list(command)!r}]\n"
        "from lawtags_client.cli import main\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("packages", "command", "extra"),
    [
        ("starlette uvicorn", ("local", "up", "--detach"), "local"),
        ("nemo_curator dask spacy", ("demo",), "curate"),
        ("torch nemo_curator", ("demo",), "curate,local"),
        ("nemo_curator", ("run", "smollm2-demo", "--data", __file__), "curate"),
        ("numpy nemo_curator matplotlib", ("run", "gemma-2-2b"), "curate,tag,report"),
        ("nemo_curator", ("curate", __file__, "--out", "nowhere"), "curate"),
    ],
)
def test_a_missing_extra_is_told_in_two_lines(
    packages: str, command: tuple[str, ...], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _without(packages, *command)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"pip install 'lawtags[{extra}]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2
    assert not list(tmp_path.iterdir())


def test_a_served_model_is_asked_without_any_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAWTAGS_INFERENCE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LAWTAGS_MAX_RETRIES", "0")
    packages = " ".join(package for packages in MARKERS.values() for package in packages)
    done = _without(packages, "tag", "--title", "Is it binding?", "--model", "law/tagger")
    assert done.returncode == 1, done.stderr
    assert "cannot be reached at http://127.0.0.1:9" in done.stderr
    assert "pip install" not in done.stderr


@pytest.mark.parametrize("module", ["stack", "service", "nim.routes", "customizer.state"])
def test_the_embedded_stack_in_a_program_names_its_extra(module: str) -> None:
    code = (
        "import importlib.util, sys\n"
        "from lawtags_client.errors import MissingExtraError\n"
        "sys.modules['starlette'] = None\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'starlette' else found(name, *a)\n"
        "try:\n"
        f"    import lawtags_stack.{module}\n"
        "except MissingExtraError as error:\n"
        "    print(error.extra)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("local\n", "")


def test_the_blocking_front_takes_settings(tmp_path: Path) -> None:
    settings = Settings(platform_url="http://127.0.0.1:9", intents_path=tmp_path / "intents.sqlite")
    with sync.NeMo(settings) as nemo:
        assert nemo.settings is settings


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
@pytest.mark.parametrize("path", ["", "/nim"])
async def test_an_address_with_the_wrong_path_is_told(status: str, path: str) -> None:
    async with (
        RawServer([send(answer(b'{"detail": "no such route"}', status=status))]) as server,
        NeMo(Settings(platform_url=server.url + path, max_retries=0)) as nemo,
    ):
        with pytest.raises(LawtagsError, match="no such route") as caught:
            await nemo.customizer.jobs.get("cust-1")
    hint = caught.value.hint or ""
    assert f"{server.url}{path}/v1/customization/jobs/cust-1" in hint and "platform_url" in hint


def test_extras_are_known_by_their_packages() -> None:
    assert not any(map(absent, MARKERS))
    require(list(MARKERS), "this")
    told = explained(ModuleNotFoundError("x", name="starlette.applications"))
    assert isinstance(told, MissingExtraError) and told.extra == "local"
    assert explained(ModuleNotFoundError("x", name="lawtags_client.nothing")) is None


async def test_one_platform_url_finds_the_list_of_served_models(tmp_path: Path) -> None:
    def platform(request: httpx.Request) -> httpx.Response:
        lists = {"/v1/models": REGISTRY, "/nim/v1/models": SERVED}
        return httpx.Response(200, json=lists[request.url.path])

    async with client(platform, tmp_path) as nemo:
        assert await nemo.inference.served("law/tagger@v1", timeout=1) == "law/tagger@v1"


async def test_the_registry_in_place_of_served_models_is_an_error_that_names_the_setting(
    tmp_path: Path,
) -> None:
    def platform(request: httpx.Request) -> httpx.Response:
        found = request.url.path == "/v1/models"
        return httpx.Response(200 if found else 404, json=REGISTRY if found else {"detail": "Not Found"})

    async with client(platform, tmp_path) as nemo:
        with pytest.raises(ConfigurationError, match="Entity Store") as caught:
            await nemo.inference.served("law/tagger@v1", timeout=600)
    assert caught.value.hint and "LAWTAGS_INFERENCE_URL" in caught.value.hint


async def test_a_model_without_its_version_is_told_which_there_are(tmp_path: Path) -> None:
    def platform(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200 if request.url.path == "/v1/models" else 404, json=SERVED)
        return httpx.Response(404, json={"error": {"message": "The model law/tagger does not exist."}})

    async with client(platform, tmp_path) as nemo:
        with pytest.raises(NotFoundError) as caught:
            await tag(nemo, title="Can I?", model="law/tagger")
        assert caught.value.hint == "Served versions of it: law/tagger@v2, law/tagger@v1. Use one of them."
        with pytest.raises(NotFoundError, match="Served models: law/tagger@v2"):
            await tag(nemo, title="Can I?", model="law/other")


def _branches(*names: str) -> dict[str, object]:
    return {"branches": [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": "c"} for name in names]}


@pytest.mark.parametrize("name", ["law/tagger", "law/tagger@v1"])
async def test_a_tuned_model_is_downloaded_without_its_revision(name: str, tmp_path: Path) -> None:
    import hashlib

    oid = hashlib.sha1(b"blob 3\0one").hexdigest()
    entry = {"type": "file", "path": "adapter.safetensors", "oid": oid, "size": 3}

    def store(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/refs"):
            return httpx.Response(200, json=_branches("main", "v1"))
        if "/tree/" in path:
            # A run leaves its card on main, beside the branch of the weights.
            return httpx.Response(
                200, json=[entry | {"path": "README.md"}] if path.endswith("/main") else [entry]
            )
        return httpx.Response(200, content=b"one") if "/resolve/v1/" in path else httpx.Response(200, json={})

    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        got = await nemo.data_store.download(name, tmp_path / "model", repo_type="model")
    assert list(got.files) == ["adapter.safetensors"]


async def test_a_choice_of_revisions_is_left_to_the_caller(tmp_path: Path) -> None:
    def store(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refs"):
            return httpx.Response(200, json=_branches("main", "v1", "v2"))
        return httpx.Response(200, json=[] if "/tree/" in request.url.path else {})

    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(NotFoundError, match="its branches are: v1, v2"):
            await nemo.data_store.download("law/tagger", tmp_path / "model", repo_type="model")
        with pytest.raises(NotFoundError, match="has no files"):
            await nemo.data_store.download("law/tagger", tmp_path / "model", repo_type="model", revision="v1")


PAGE = b"<!DOCTYPE html><html><head><title>Sign in\n to Example</title></head></html>"


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "502 Bad Gateway"])
async def test_a_page_for_people_is_named(status: str, tmp_path: Path) -> None:
    async with RawServer([send(answer(PAGE, status=status))]) as server:
        nemo = NeMo(Settings(platform_url=server.url, max_retries=0))
        async with nemo:
            with pytest.raises(LawtagsError, match="an HTML page titled 'Sign in to Example'") as caught:
                await nemo.customizer.jobs.get("cust-1")
    assert caught.value.hint and "platform_url" in caught.value.hint and "proxy" in caught.value.hint


async def test_where_a_redirect_led_is_told(tmp_path: Path) -> None:
    moved = answer(b"", "location: /login", status="302 Found")
    async with (
        RawServer([send(moved), send(answer(PAGE))]) as server,
        NeMo(Settings(platform_url=server.url)) as nemo,
    ):
        with pytest.raises(ProtocolError, match=r"after a redirect to .*/login"):
            await nemo.customizer.jobs.get("cust-1")


async def test_plain_http_and_tls_are_told_apart(tmp_path: Path) -> None:
    alert = [send(b"\x15\x03\x03\x00\x02\x02\x46", close=True)]
    async with RawServer(alert) as server, NeMo(Settings(platform_url=server.url)) as nemo:
        with pytest.raises(LawtagsError, match="something other than HTTP") as caught:
            await nemo.customizer.jobs.get("cust-1")
    assert caught.value.hint and "https://" in caught.value.hint
    refusal = [send(b"HTTP/1.1 400 Bad Request\r\n\r\n", close=True)]
    async with RawServer([], greeting=refusal) as server:
        url = server.url.replace("http", "https")
        async with NeMo(Settings(platform_url=url)) as nemo:
            with pytest.raises(ConnectionFailedError, match="does not speak TLS") as caught:
                await nemo.customizer.jobs.get("cust-1")
    assert caught.value.hint and "http://" in caught.value.hint


def test_a_run_asks_the_services_before_it_curates(tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    row = {"title": "Can my landlord keep the deposit?", "body": "I moved out. " * 20, "tags": ["tenancy"]}
    questions.write_text("".join(json.dumps(row) + "\n" for _ in range(30)))
    # The cache stays that of the tests, not the user's.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LAWTAGS_") or name == CACHE_VARIABLE
    }
    environ |= {"LAWTAGS_PLATFORM_URL": "http://127.0.0.1:9", "LAWTAGS_MAX_RETRIES": "0"}
    line = [sys.executable, "-m", "lawtags_client", "run", "smollm2-demo", "--data", str(questions)]
    code = "import sys; sys.argv[0] = 'lawtags'; from lawtags_client.cli import main; main()"
    line = [sys.executable, "-c", code, *line[3:]]
    done = subprocess.run(line, capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("stack", [True, False])
def test_the_hint_of_the_demo_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: bool
) -> None:
    folder = tmp_path / "a b"
    program = folder / ".venv" / "bin" / "lawtags"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    text = _asking(folder, Path(".venv/bin/lawtags"), stack=stack)
    # A tagger that leaves its model out needs no stack.
    assert ("local up" in text) == stack
    done = subprocess.run(["sh", "-ec", text], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin:/bin")
    assert shlex.split(_asking(folder, Path(".venv/bin/lawtags"), stack=stack))[3] == "lawtags"


async def test_a_repository_of_the_other_type_is_told(tmp_path: Path) -> None:
    def store(request: httpx.Request) -> httpx.Response:
        found = "/models/" in request.url.path
        return httpx.Response(200 if found else 404, json={"id": "law/tagger"} if found else {"detail": "no"})

    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(NotFoundError) as caught:
            await nemo.data_store.download("law/tagger", tmp_path / "model")
    assert caught.value.hint == "There is a model repository of this name: pass repo_type='model'."
