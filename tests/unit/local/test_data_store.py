from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import APIError, BadRequestError, NotFoundError, UnprocessableError
from lawtags_stack.http.signing import is_signed, signed_query
from lawtags_stack.services.data_store.errors import BadPathError, EntryMissingError, RevisionMissingError
from lawtags_stack.services.data_store.hub_urls import check_path, parse_files_url
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.store import Blobs, Database


@pytest.fixture
def state(tmp_path: Path) -> Iterator[DataStoreState]:
    database = Database(tmp_path / "stack.sqlite")
    made = DataStoreState(database, Blobs(tmp_path / "blobs"))
    made.repo_create("dataset", "law", "tags", make_namespace=True)
    yield made
    database.close()


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/..", "a/../b", "a/../../b"),
        *(".git", ".git/config", "a/.git", "a/.git/hooks/pre-commit", ".GIT", "a/.Git/b"),
        *("a\\b", "\\", "..\\a", "a\x7fb", *(f"a{chr(code)}b" for code in range(32))),
        *("\ud800", "a/\udfff", "a\ud83d\ude00", "x" * 1025, "é" * 512 + "x", "/".join(["a"] * 513)),
        *(f"a{chr(code)}b" for code in range(0x80, 0xA0)),
        *(
            "a\u202ejpg.b",
            "a/\u2067b",
            "\u200ea",
            "a\u200f",
            "\ufeffa",
            "a\u2028b",
            "a\u00adb",
            "a\U000e0041",
        ),
    ],
    ids=lambda path: ascii(path)[:20],
)
def test_paths_that_leave_the_folder_or_that_git_would_not_take_are_refused(path: str) -> None:
    with pytest.raises(BadPathError, match="is not allowed in a repository") as refused:
        check_path(path)
    assert len(str(refused.value)) < 2500


@pytest.mark.parametrize(
    "path",
    [
        *("a", "a/b", "...", "a..b", "..a", ".gitignore", ".github/b", "git", "a.git/b", " ", "~", "-rf"),
        *("C:", "a b", "\ud7ff", "\ue000", "Recht/Miete.jsonl", "法律/租赁", "x" * 1024, "é" * 512),
        *("می\u200cخواهم.jsonl", "\U0001f469\u200d\u2696\ufe0f", "e\u0301"),
    ],
    ids=lambda path: ascii(path)[:20],
)
def test_other_paths_are_taken_as_they_are(path: str) -> None:
    assert check_path(path) == path


@given(st.text(st.sampled_from("./\\ag\x00\x1f\x7f") | st.characters(), max_size=12))
def test_paths_are_either_inside_or_refused(path: str) -> None:
    try:
        assert check_path(path) == path
    except BadPathError:
        return
    assert os.path.normpath(f"/root/{path}") == f"/root/{path}"
    assert re.search(r"[\\\x00-\x1f\x7f\ud800-\udfff]", path) is None
    assert ".git" not in path.lower().split("/")


def test_paths_are_checked_wherever_they_come_from(state: DataStoreState) -> None:
    for use in (
        lambda: state.commit("dataset", "law", "tags", {"a/../../b": b"1"}, "out"),
        lambda: parse_files_url("hf://datasets/law/tags/a/../../b"),
        lambda: state.put_base64("../a", b"1"),
    ):
        with pytest.raises(BadPathError):
            use()
    assert state.files("dataset", "law", "tags") == []


def _commit(state: DataStoreState, content: bytes, expected: str | None) -> str:
    repository = state.repositories.get("dataset", "law", "tags")
    entries = [state.put_base64("a", content)]
    return state.add_commit(repository, "main", entries, title="t", expected_parent=expected)


def test_commit_on_the_parent_that_it_expects_is_made(state: DataStoreState) -> None:
    first = _commit(state, b"1", None)
    second = _commit(state, b"2", first)
    third = _commit(state, b"3", second[:7])
    fourth = _commit(state, b"4", None)
    assert len({first, second, third, fourth}) == 4
    repository = state.repositories.get("dataset", "law", "tags")
    log = [commit.oid for commit in state.repositories.history(repository, "main")]
    assert log[:4] == [fourth, third, second, first]


def test_commit_on_another_parent_is_refused_and_changes_nothing(state: DataStoreState) -> None:
    first = _commit(state, b"1", None)
    second = _commit(state, b"2", None)
    unknown = ["0" * 40, first, first[:7], second[:39] + ("0" if second[39] != "0" else "1")]
    for expected in unknown:
        with pytest.raises(APIError, match=r"is at .*, not at") as refused:
            _commit(state, b"3", expected)
        assert refused.value.status == 412
    malformed = ["", second[:6], second + "0", "g" * 40, f" {second}", f"{second}\n", second.upper(), "main"]
    for expected in malformed:
        with pytest.raises(BadRequestError, match="not a commit id"):
            _commit(state, b"3", expected)
    assert state.read("dataset", "law", "tags", "a") == b"2"
    repository = state.repositories.get("dataset", "law", "tags")
    assert state.repositories.resolve(repository, "main").oid == second


def test_of_commits_on_one_parent_at_the_same_time_one_is_made(state: DataStoreState) -> None:
    parent = _commit(state, b"0", None)

    def attempt(number: int) -> int:
        try:
            _commit(state, b"%d" % number, parent)
        except APIError as refused:
            return refused.status or 0
        return 200

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(attempt, range(1, 9)))
    assert outcomes == [200, *[412] * 7]


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
