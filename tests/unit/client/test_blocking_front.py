"""The blocking front: its types are fresh and true, and its classes are those that it hands out."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from client_kit import Script, client

from lawtags_client import Question, sync, tag, tag_many
from lawtags_client.blocking import fronts
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.client import Helix
from lawtags_client.intents import SqliteIntents

ROOT = Path(__file__).parents[3]
STUB = ROOT / "lawtags_client" / "sync.pyi"


def stubbed() -> dict[str, ast.ClassDef]:
    tree = ast.parse(STUB.read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def test_stub_is_fresh() -> None:
    script = ROOT / "scripts" / "write_sync_stub.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(stubbed()))
def test_every_class_of_the_stub_is_there_with_its_calls(name: str) -> None:
    twin = getattr(sync, name)
    clients: dict[str, type] = {"NeMo": NeMo, "Helix": Helix}
    kind = clients.get(name) or next(k for k, v in _kinds().items() if v is twin)
    for node in stubbed()[name].body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found = inspect.getattr_static(twin, node.name, None) or inspect.getattr_static(kind, node.name)
            if inspect.isfunction(found):
                given = [*node.args.args, *node.args.kwonlyargs, *filter(None, [node.args.kwarg])]
                assert [argument.arg for argument in given] == list(inspect.signature(found).parameters)


def _kinds() -> dict[type, type]:
    from lawtags_client.blocking import _fronts

    fronts()
    return dict(_fronts)


def test_what_is_handed_out_is_of_the_class_that_the_stub_says(tmp_path: Path) -> None:
    answers = Script([httpx.Response(200, json={"id": "cust-1", "status": "running"})])
    with sync.NeMo.of(client(answers, tmp_path)) as nemo:
        job = nemo.customizer.job("cust-1")
        assert type(job) is sync.SyncJob
        assert isinstance(nemo.entity_store.datasets, sync.SyncListing)
        assert job.id == "cust-1"
        assert repr(job).startswith("Job(id='cust-1'")


def test_blocking_client_is_made_of_what_the_async_one_is_made_of() -> None:
    assert inspect.signature(sync.NeMo) == inspect.signature(NeMo)
    assert inspect.signature(sync.Helix) == inspect.signature(Helix)


def test_the_client_of_helix_blocks_as_that_of_v1(tmp_path: Path) -> None:
    job = {
        "name": "tagger",
        "workspace": "law",
        "status": "completed",
        "spec": {"output": {"name": "tagger"}},
    }
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/status"):
            return httpx.Response(200, json=job)
        if request.url.path.endswith("/completions"):
            return httpx.Response(200, json={"choices": [{"index": 0, "text": " tax, tort"}]})
        return httpx.Response(200, json={"data": [job]})

    made = Helix(
        base_url="http://helix.test",
        workspace="law",
        handler=httpx.MockTransport(answer),
        intents=SqliteIntents(tmp_path / "intents.sqlite"),
    )
    with sync.Helix.of(made) as helix:
        assert isinstance(helix.customization.automodel, sync.SyncBackend)
        assert type(helix.filesets) is sync.SyncHelixFilesets
        assert [found.output for found in helix.customization.jobs()] == ["law/tagger"]
        assert helix.customization.automodel.wait("tagger").status == "completed"
        assert sync.tag(helix, title="Can I?", model="law/base").tags == ("tax", "tort")
        assert helix.gateway.models().complete(model="law/base", prompt="Tags:").text == " tax, tort"
        assert type(helix.gateway.providers()) is sync.SyncProviders
        assert helix.workspace == "law"
    assert asked[0] == "GET /apis/jobs/v2/workspaces/law/jobs"
    with pytest.raises(ConfigurationError, match="not the async one") as wrong:
        sync.tag(made, title="Can I?", model="law/base")  # type: ignore[arg-type]
    assert "lawtags_client.sync.Helix" in (wrong.value.hint or "")


def test_lists_become_plain_iterators(tmp_path: Path) -> None:
    page = {"object": "list", "data": [{"name": "a", "namespace": "law", "files_url": "hf://datasets/law/a"}]}
    answers = Script([httpx.Response(200, json=page), httpx.Response(200, json={"data": []})])
    with sync.NeMo.of(client(answers, tmp_path)) as nemo:
        assert [found.name for found in nemo.entity_store.datasets.list()] == ["a"]


def test_tagging_waits_for_its_results(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"release": "1.13.1"})
        return httpx.Response(200, json={"choices": [{"index": 0, "text": " tax, tort"}]})

    questions = [Question(id=str(n), title=f"Title {n}", body=None, tags=()) for n in range(3)]
    with sync.NeMo.of(client(answer, tmp_path)) as nemo:
        assert sync.tag(nemo, title="Can I?", model="m").tags == ("tax", "tort")
        assert [(one.id, one.tags) for one in sync.tag_many(nemo, questions, model="m", at_most=1)] == [
            ("0", ("tax",)),
            ("1", ("tax",)),
            ("2", ("tax",)),
        ]
    assert inspect.signature(sync.tag) == inspect.signature(tag)
    assert inspect.signature(sync.tag_many) == inspect.signature(tag_many)


def test_name_that_the_front_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="SyncNothing"):
        _ = sync.SyncNothing  # type: ignore[attr-defined]
