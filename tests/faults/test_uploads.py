"""Uploads that are cut, spoilt, repeated, or whose files change underneath."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from fault_proxy import Answer, CutRequest, FaultProxy, Verdict
from raw_server import RawServer, answer, send

from lawtags_client.client import NeMo
from lawtags_client.errors import DataError, LawtagsError, ProtocolError
from lawtags_client.intents import SqliteIntents
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.settings import Settings
from lawtags_client.transport.clock import Clock
from lawtags_stack.stack import StackThread

SIZE = 1 << 20
FILES = 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    with StackThread(tmp_path_factory.mktemp("uploads") / "stack") as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files large enough for LFS, with a content of their own in each test."""
    found = {}
    for number in range(FILES):
        path = tmp_path / f"part-{number}.bin"
        path.write_bytes(os.urandom(SIZE))
        found[path.name] = path
    return found


def connect(url: str, folder: Path, *, retries: int = 2) -> NeMo:
    async def nap(seconds: float) -> None:
        pass

    settings = Settings(data_store_url=url, max_retries=retries)
    return NeMo(settings, intents=SqliteIntents(folder / "i.sqlite"), clock=Clock(sleep=nap))


async def prepare(nemo: NeMo, name: str) -> str:
    await nemo.data_store.namespaces.create_or_get("uploads")
    await nemo.data_store.prepare(Repository.of(f"uploads/{name}"))
    return f"uploads/{name}"


def by_lfs(paths: Iterable[str], judge: Callable[[str], Verdict]) -> Callable[[str], Verdict]:
    """A store that takes even small files by LFS, and otherwise as the judge says."""
    modes = [{"path": path, "uploadMode": "lfs", "shouldIgnore": False} for path in paths]
    answer = Answer(200, json.dumps({"files": modes}).encode(), (("content-type", "application/json"),))

    def judged(request: str) -> Verdict:
        verdict = judge(request)
        return answer if verdict == "pass" and "/preupload/" in request else verdict

    return judged


def once(verb: str, verdict: Verdict) -> Callable[[str], Verdict]:
    """Spoil the first request of a kind."""
    left = [verdict]
    return lambda request: left.pop() if left and verb in request else "pass"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
async def test_interrupted_upload_is_completed_and_the_next_one_sends_nothing(
    stack: StackThread, files: dict[str, Path], tmp_path: Path, share: float
) -> None:
    judge = by_lfs(files, once("PUT ", CutRequest(int(SIZE * share))))
    with FaultProxy(stack.data_store_url, judge) as proxy:
        async with connect(proxy.url, tmp_path, retries=0) as nemo:
            name = await prepare(nemo, f"cut-{share}")
            with pytest.raises(LawtagsError):
                await nemo.data_store.upload_files(name, files)
        async with connect(proxy.url, tmp_path) as nemo:
            done = await nemo.data_store.upload_files(name, files)
            assert len(done.files) == FILES
            so_far = proxy.received
            assert (await nemo.data_store.upload_files(name, files)).sent == ()
            assert proxy.received - so_far < 2_000
            got = await nemo.data_store.download(name, tmp_path / "down")
    for path, source in files.items():
        assert (got.folder / path).read_bytes() == source.read_bytes()


async def test_files_uploaded_before_a_failed_commit_are_not_sent_again(
    stack: StackThread, files: dict[str, Path], tmp_path: Path
) -> None:
    down = [True]
    judge = by_lfs(files, lambda request: Answer(403, b"{}") if down and "/commit/" in request else "pass")
    with FaultProxy(stack.data_store_url, judge) as proxy:
        async with connect(proxy.url, tmp_path) as nemo:
            name = await prepare(nemo, "uncommitted")
            with pytest.raises(LawtagsError):
                await nemo.data_store.upload_files(name, files)
            down.clear()
            first = proxy.received
            assert first > FILES * SIZE
            assert set((await nemo.data_store.upload_files(name, files)).sent) == set(files)
            assert proxy.received - first < 10_000


@pytest.mark.parametrize(
    "fault",
    ["lose reply", "lose request", "reset", "garble", CutRequest(50), Answer(502)],
    ids=["lose reply", "lose request", "reset", "garble", "cut", "502"],
)
@pytest.mark.parametrize("verb", ["PUT ", "/objects/batch", "/verify", "/preupload/", "/commit/"])
async def test_upload_survives_a_fault_at_each_step(
    stack: StackThread, tmp_path: Path, verb: str, fault: Verdict
) -> None:
    content = {"one.bin": os.urandom(SIZE // 8), "two.txt": os.urandom(20).hex().encode()}
    with FaultProxy(stack.data_store_url, by_lfs(content, once(verb, fault))) as proxy:
        async with connect(proxy.url, tmp_path) as nemo:
            name = await prepare(nemo, tmp_path.name[-40:].strip("-_"))
            done = await nemo.data_store.upload_files(name, dict(content))
            assert set(done.sent) == set(content)
            assert any(verb in request and verdict == fault for request, verdict in proxy.seen)
            got = await nemo.data_store.download(name, tmp_path / "down")
    for path, data in content.items():
        assert (got.folder / path).read_bytes() == data


async def test_store_that_never_verifies_is_told_and_the_next_upload_heals(
    stack: StackThread, files: dict[str, Path], tmp_path: Path
) -> None:
    judge = by_lfs(files, lambda request: Answer(404, b"{}") if "/verify" in request else "pass")
    with FaultProxy(stack.data_store_url, judge) as proxy:
        async with connect(proxy.url, tmp_path) as nemo:
            name = await prepare(nemo, "unchecked")
            with pytest.raises(LawtagsError) as caught:
                await nemo.data_store.upload_files(name, files)
            assert caught.value.status == 404
            assert not [entry for entry in await nemo.data_store.files(name) if entry.path in files]
    async with connect(stack.data_store_url, tmp_path) as nemo:
        assert len((await nemo.data_store.upload_files(name, files)).files) == FILES


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten", "goes"])
async def test_file_that_changes_during_upload_is_named_and_nothing_is_committed(
    stack: StackThread, files: dict[str, Path], tmp_path: Path, change: str
) -> None:
    victim = files["part-1.bin"]

    def alter(request: str) -> Verdict:
        if "/objects/batch" in request:
            if change == "grows":
                victim.write_bytes(victim.read_bytes() + b"more")
            elif change == "shrinks":
                victim.write_bytes(victim.read_bytes()[: SIZE // 2])
            elif change == "goes":
                victim.unlink()
            else:
                victim.write_bytes(os.urandom(SIZE))
        return "pass"

    with FaultProxy(stack.data_store_url, by_lfs(files, alter)) as proxy:
        async with connect(proxy.url, tmp_path) as nemo:
            name = await prepare(nemo, f"changes-{change.replace(' ', '-')}")
            with pytest.raises(DataError, match=r"part-1\.bin"):
                await nemo.data_store.upload_files(name, files)
            left = [entry.path for entry in await nemo.data_store.files(name)]
    assert not any(path.endswith(".bin") for path in left)


async def test_each_step_of_a_large_upload_sends_the_headers_that_the_store_names(
    stack: StackThread, tmp_path: Path
) -> None:
    path = tmp_path / "part.bin"
    path.write_bytes(b"content")
    oid = hashlib.sha256(b"content").hexdigest()
    as_json = (("content-type", "application/json"),)
    async with RawServer([send(answer(b"{}"))]) as elsewhere:
        actions = {
            "upload": {"href": f"{elsewhere.url}/put", "header": {"x-kind": "BlockBlob", "x-key": "one"}},
            "verify": {"href": f"{elsewhere.url}/verify", "header": {"x-key": "two"}},
        }
        batch = json.dumps({"objects": [{"oid": oid, "size": 7, "actions": actions}]}).encode()

        def judge(request: str) -> Verdict:
            if "/objects/batch" in request:
                return Answer(200, batch, as_json)
            return Answer(200, b'{"success": true}', as_json) if "/commit/" in request else "pass"

        with FaultProxy(stack.data_store_url, by_lfs([path.name], judge)) as proxy:
            async with connect(proxy.url, tmp_path) as nemo:
                name = await prepare(nemo, "headers")
                # What it says is looked at again: nothing was committed.
                with pytest.raises(ProtocolError, match=r"part\.bin arrived with different content"):
                    await nemo.data_store.upload_files(name, {path.name: path})
        sent = [head.lower() for head in elsewhere.heads]
    assert elsewhere.requests == ["PUT /put", "POST /verify"]
    assert b"x-kind: blockblob\r\n" in sent[0] and b"x-key: one\r\n" in sent[0]
    assert b"content-length: 7\r\n" in sent[0]
    assert b"x-key: two\r\n" in sent[1] and b"content-type: application/vnd.git-lfs+json\r\n" in sent[1]


async def test_symbolic_links_are_not_uploaded(stack: StackThread, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "own.txt").write_text("own")
    (folder / "link.txt").symlink_to(secret)
    (folder / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    with FaultProxy(stack.data_store_url, lambda _: "pass") as proxy:
        async with connect(proxy.url, tmp_path) as nemo:
            name = await prepare(nemo, "links")
            done = await nemo.data_store.upload_folder(name, folder)
    assert set(done.files) == {"own.txt"}
    assert not any(b"canary" in message.body for message in proxy.messages)
