from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import BadRequestError, NotFoundError, UnprocessableError
from lawtags_client.local.data_store.faults import EntryMissingError, RevisionMissingError
from lawtags_client.local.data_store.hub_urls import check_path, parse_files_url
from lawtags_client.local.data_store.state import DataStoreState
from lawtags_client.local.signing import is_signed, signed_query
from lawtags_client.local.storage import Blobs, Database


@pytest.fixture
def state(tmp_path: Path) -> Iterator[DataStoreState]:
    database = Database(tmp_path / "stack.sqlite")
    made = DataStoreState(database, Blobs(tmp_path / "blobs"))
    made.repo_create("dataset", "law", "tags", make_namespace=True)
    yield made
    database.close()


@given(st.text())
def test_paths_are_either_inside_or_refused(path: str) -> None:
    try:
        check_path(path)
    except BadRequestError:
        return
    assert (Path("/root") / path).resolve().is_relative_to("/root")
    assert not path.startswith("/") and "\\" not in path and "\x00" not in path


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("hf://datasets/law/tags", ("dataset", "law", "tags", "main", "")),
        ("hf://datasets/law/tags/testing/t.jsonl", ("dataset", "law", "tags", "main", "testing/t.jsonl")),
        ("hf://law/tagger@cust-1", ("model", "law", "tagger", "cust-1", "")),
        ("nds://models/law/tagger@v1", ("model", "law", "tagger", "v1", "")),
    ],
)
def test_files_urls_are_taken_apart(url: str, parts: tuple[str, ...]) -> None:
    found = parse_files_url(url)
    assert (found.repo_type, found.namespace, found.repo, found.revision, found.path) == parts
    assert parse_files_url(str(found)) == found


@pytest.mark.parametrize(
    "url", ["", "law/tags", "file:///etc/passwd", "hf://law", "hf://datasets/law", "hf://a/b@"]
)
def test_addresses_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(UnprocessableError):
        parse_files_url(url)


def test_commit_reads_back_and_moves_the_branch(state: DataStoreState, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"from a file")
    first = state.commit("dataset", "law", "tags", {"a/b.txt": b"1", "c": tmp_path / "local"}, "one")
    second = state.commit("dataset", "law", "tags", {"a/b.txt": b"2"}, "two", delete=["c"])
    assert state.read("dataset", "law", "tags", "a/b.txt") == b"2"
    assert state.read("dataset", "law", "tags", "c", first) == b"from a file"
    assert [file.path for file in state.files("dataset", "law", "tags", second)] == ["a/b.txt"]
    assert state.commit("dataset", "law", "tags", {"a/b.txt": b"2"}, "nothing new") == second
    with pytest.raises(EntryMissingError):
        state.read("dataset", "law", "tags", "c")
    with pytest.raises(RevisionMissingError):
        state.files("dataset", "law", "tags", "nowhere")


def test_new_branch_begins_at_main(state: DataStoreState) -> None:
    state.commit("dataset", "law", "tags", {"a": b"1"}, "one")
    state.commit("dataset", "law", "tags", {"b": b"2"}, "two", revision="cust-1")
    assert [file.path for file in state.files("dataset", "law", "tags", "cust-1")] == ["a", "b"]
    assert [file.path for file in state.files("dataset", "law", "tags")] == ["a"]


def test_files_url_names_file_folder_or_repository(state: DataStoreState) -> None:
    state.commit("dataset", "law", "tags", {"t/1": b"1", "t/2": b"2", "v": b"3"}, "one")

    def paths(url: str) -> list[str]:
        return [file.path for file in state.resolve_url(url)[1]]

    assert paths("hf://datasets/law/tags") == ["t/1", "t/2", "v"]
    assert paths("hf://datasets/law/tags/t") == ["t/1", "t/2"]
    assert paths("hf://datasets/law/tags/v") == ["v"]
    with pytest.raises(EntryMissingError, match="not present"):
        paths("hf://datasets/law/tags/w")


def test_download_appears_whole_or_not_at_all(state: DataStoreState, tmp_path: Path) -> None:
    state.commit("dataset", "law", "tags", {"a/b": b"1", "c": b"2"}, "one")
    folder = state.download("dataset", "law", "tags", tmp_path / "out" / "copy")
    assert (folder / "a/b").read_bytes() == b"1" and (folder / "c").read_bytes() == b"2"
    [entry] = [file for file in state.files("dataset", "law", "tags") if file.path == "c"]
    state.blobs.delete(entry.sha256)
    with pytest.raises(Exception, match="no blob"):
        state.download("dataset", "law", "tags", tmp_path / "out" / "other")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["copy"]


def test_repository_needs_its_namespace(state: DataStoreState) -> None:
    with pytest.raises(NotFoundError):
        state.repo_create("model", "nowhere", "x")


def test_signed_links_open_one_door_for_a_day() -> None:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    link = signed_query("token", "PUT", "/a", lambda: now)
    query = dict(part.split("=") for part in link[1:].split("&"))

    def opens(method: str = "PUT", path: str = "/a", hours: int = 0, token: str = "token") -> bool:
        return is_signed(token, method, path, query, lambda: now + timedelta(hours=hours))

    assert opens() and opens(hours=23)
    assert not opens(method="GET") and not opens(path="/b") and not opens(hours=25) and not opens(token="x")
    assert signed_query(None, "PUT", "/a", lambda: now) == ""
    assert not is_signed("token", "PUT", "/a", {"expires": "9" * 4000}, lambda: now)
