"""Looking at rows before they are sent, and at files before they are kept."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import httpx
import pytest
from client_kit import client
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import DataError, ProtocolError
from lawtags_client.jsonl import LONGEST_LINE
from lawtags_client.services.data_store.contents import describe
from lawtags_client.services.data_store.layout import check, describe_left_out
from lawtags_client.services.data_store.rows import RowCheck, describe_repeats
from lawtags_client.types.data_store import LfsPointer, TreeEntry

GOOD = '{"prompt": "a", "completion": " b"}'
CHAT = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})


def folder_of(root: Path, training: bytes, validation: bytes = GOOD.encode()) -> Path:
    for split, content in (("training", training), ("validation", validation)):
        (root / split).mkdir(parents=True)
        (root / split / "rows.jsonl").write_bytes(content)
    return root


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(GOOD)
    with pytest.raises(DataError, match=r"rows\.jsonl: is a file, not a folder"):
        check(file)


def test_good_folder_is_counted(tmp_path: Path) -> None:
    layout = check(folder_of(tmp_path, f"{GOOD}\r\n{GOOD}".encode()))
    assert (layout.rows, layout.kind) == ({"training": 2, "validation": 1}, "completion")
    assert sorted(layout.files) == ["training/rows.jsonl", "validation/rows.jsonl"]


def test_line_separator_inside_a_string_is_no_line_end(tmp_path: Path) -> None:
    row = '{"prompt": "a\u2028b", "completion": "c"}'
    assert check(folder_of(tmp_path, row.encode())).rows["training"] == 1


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{", None),
        (b"[1]", None),
        (b"\xff\xfe", None),
        (b"", None),
        (b'{"prompt": "a", "completion": NaN}', "completion"),
        (b'{"prompt": "a"}', "completion"),
        (b'{"prompt": "a", "completion": ["x"]}', "completion"),
        (b'{"prompt": " ", "completion": "x"}', "prompt"),
        (b'{"messages": []}', "messages"),
        (
            b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]}',
            "messages[1].content",
        ),
        (
            b'{"messages": [{"role": "assistant", "content": " "}, {"role": "assistant", "content": "x"}]}',
            "messages[0].content",
        ),
        (b'{"messages": [{"role": "assistant", "content": "", "tool_calls": []}]}', "messages[0].content"),
        (b'{"messages": [{"role": "king", "content": "x"}]}', "messages[0].role"),
        (b'{"messages": [{"role": ["user"], "content": "x"}]}', "messages[0].role"),
        (b'{"prompt": "\\ud800", "completion": "x"}', "prompt"),
        (b'\xef\xbb\xbf{"prompt": "a", "completion": "x"}', None),
        (b'{"messages": [{"role": "user", "content": 3}]}', "messages[0].content"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "messages[0].role"),
        (CHAT.encode(), None),
        (b"[" * 100_000, None),
    ],
)
def test_bad_row_is_named_by_file_line_and_field(line: bytes, field: str | None, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        check(folder_of(tmp_path, GOOD.encode() + b"\n" + line + b"\n"))
    assert (caught.value.line, caught.value.field) == (2, field)
    assert caught.value.path == str(tmp_path / "training" / "rows.jsonl")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "prompt": JSON,
        "completion": JSON,
        "messages": JSON
        | st.lists(st.fixed_dictionaries({"role": JSON, "content": JSON}), min_size=1, max_size=2),
    },
)


@given(line=st.binary(max_size=40) | (JSON | NEAR).map(lambda row: json.dumps(row).encode()))
def test_whatever_a_line_holds_it_is_taken_or_named(
    line: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "line.jsonl"
    path.write_bytes(line)
    try:
        RowCheck().read(path, "training")
    except DataError as error:
        assert error.line is not None


def test_endless_line_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder_of(tmp_path, GOOD.encode() + b"\n" + b"[" * (LONGEST_LINE + 10))
    with pytest.raises(DataError, match="16 MiB") as caught:
        check(tmp_path)
    assert caught.value.line == 2


def row(prompt: str, completion: str = "x") -> str:
    return json.dumps({"prompt": prompt, "completion": completion})


def test_repeated_prompts_are_told_with_both_places(tmp_path: Path) -> None:
    training = "\n".join([row("a"), row("b"), row("a", "other"), row("b"), row("long" * 10)])
    layout = check(folder_of(tmp_path, training.encode(), row("b").encode()))
    first, leak = describe_repeats(layout.repeats)
    file = tmp_path / "training" / "rows.jsonl"
    assert first == f"2 rows of training repeat a prompt of training: {file}:3 has that of {file}:1"
    assert leak.startswith("1 row of validation repeat a prompt of training") and leak.endswith(f"{file}:2")
    assert layout.longest == {"training": 41, "validation": 2}


def test_rows_of_two_kinds_in_two_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chat row among completion"):
        check(folder_of(tmp_path, GOOD.encode(), CHAT.encode()))


@pytest.mark.parametrize("missing", ["training", "validation"])
def test_missing_split_is_named(missing: str, tmp_path: Path) -> None:
    folder_of(tmp_path, GOOD.encode())
    (tmp_path / missing / "rows.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match=missing):
        check(tmp_path)
    (tmp_path / missing / "rows.jsonl").unlink()
    with pytest.raises(DataError, match=missing):
        check(tmp_path)


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text(GOOD)
    folder_of(tmp_path / "in", GOOD.encode())
    (tmp_path / "in" / "training" / "link.jsonl").symlink_to(secret)
    with pytest.raises(DataError, match="link"):
        check(tmp_path / "in")


def test_git_and_lfs_names_are_those_of_git_and_lfs() -> None:
    file = describe("a.txt", b"hello\n")
    assert file.git_oid == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert file.sha256 == hashlib.sha256(b"hello\n").hexdigest()


def test_large_file_is_told_from_another_whichever_way_it_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate(33 << 20)
    file = describe("large.bin", source)
    digest = hashlib.sha1(b"blob %d\0" % (33 << 20) + source.read_bytes()).hexdigest()
    assert file.git_oid is None
    assert file.is_at(TreeEntry(type="file", path="large.bin", oid=digest))
    assert not file.is_at(TreeEntry(type="file", path="large.bin", oid="0" * 40))
    assert file.is_at(
        TreeEntry(type="file", path="large.bin", lfs=LfsPointer(oid=file.sha256, size=file.size))
    )


def repository(paths: dict[str, bytes], spoil: bool = False):  # type: ignore[no-untyped-def]
    entries = [
        {"type": "file", "path": path, "size": len(body), "oid": describe("x", body).git_oid}
        for path, body in paths.items()
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/tree/" in path:
            return httpx.Response(200, json=entries)
        if "/resolve/" in path:
            body = paths[path.partition("/resolve/abc/")[2]]
            return httpx.Response(200, content=b"spoilt" if spoil else body)
        return httpx.Response(200, json={"sha": "abc"})

    return answer


async def test_download_is_verified_and_leaves_nothing_spoilt(tmp_path: Path) -> None:
    good = client(repository({"a/b.txt": b"one"}), tmp_path / "state")
    got = await good.data_store.download("law/tags", tmp_path / "down")
    assert (tmp_path / "down" / "a" / "b.txt").read_bytes() == b"one"
    assert got.files == {"a/b.txt": hashlib.sha256(b"one").hexdigest()}
    bad = client(repository({"a/c.txt": b"two"}, spoil=True), tmp_path / "state")
    with pytest.raises(ProtocolError, match="does not match its hash"):
        await bad.data_store.download("law/tags", tmp_path / "down")
    assert [path.name for path in (tmp_path / "down" / "a").iterdir()] == ["b.txt"]


@pytest.mark.parametrize("path", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "a//b", "..\\out.txt"])
async def test_download_never_leaves_its_folder(path: str, tmp_path: Path) -> None:
    nemo = client(repository({path: b"x"}), tmp_path / "state")
    with pytest.raises(ProtocolError, match="leaves the folder"):
        await nemo.data_store.download("law/tags", tmp_path / "in" / "down")
    assert not list(tmp_path.rglob("out.txt"))


async def test_download_does_not_write_through_links(tmp_path: Path) -> None:
    (tmp_path / "down").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "down" / "a").symlink_to(tmp_path / "elsewhere")
    nemo = client(repository({"a/b.txt": b"x"}), tmp_path / "state")
    with pytest.raises(ProtocolError, match="leaves the folder"):
        await nemo.data_store.download("law/tags", tmp_path / "down")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_empty_answer_that_calls_a_tool_is_no_empty_one(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for content in ("", None):
        answer = {"role": "assistant", "content": content, "tool_calls": [call]}
        row = {"messages": [{"role": "user", "content": "a"}, answer]}
        folder = tmp_path / str(content)
        assert check(folder_of(folder, json.dumps(row).encode(), CHAT.encode())).rows["training"] == 1


def test_an_unknown_role_and_a_byte_order_mark_are_told_for_what_they_are(tmp_path: Path) -> None:
    row = b'{"messages": [{"role": "bot", "content": "x"}]}'
    with pytest.raises(DataError, match="known roles are assistant, system, tool, user"):
        check(folder_of(tmp_path / "role", row))
    with pytest.raises(DataError, match="byte order mark; save the file as UTF-8 without one"):
        check(folder_of(tmp_path / "mark", b"\xef\xbb\xbf" + GOOD.encode()))


def test_what_is_not_sent_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GOOD.encode())
    for name in (
        "training/._rows.jsonl", "training/.DS_Store", "training/Thumbs.db", "training/y.json",
        "validation/more.jsonl.gz", "notes.txt", "rejected.jsonl", "curation.json",
    ):  # fmt: skip
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    (folder / "training" / "deeper").mkdir()
    layout = check(folder)
    assert layout.rows == {"training": 1, "validation": 1}
    assert sorted(layout.left_out) == [
        "notes.txt", "training/.DS_Store", "training/._rows.jsonl", "training/Thumbs.db", "training/deeper/",
        "training/y.json", "validation/more.jsonl.gz",
    ]  # fmt: skip
    assert "training/y.json" in describe_left_out(layout.left_out)
    assert describe_left_out(()) == ""
    assert describe_left_out([f"{number}.txt" for number in range(30)]).endswith(" and 20 more")


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GOOD.encode())
    name = b"caf\xe9.jsonl"
    path = Path(os.fsdecode(os.fsencode(folder / "training") + b"/" + name))
    path.write_text(GOOD)
    with pytest.raises(DataError, match="name that is not UTF-8"):
        check(folder)


@pytest.mark.parametrize("end", [b"\n", b"", b"\n\n"])
@pytest.mark.parametrize("more", [0, 1])
def test_a_line_may_have_so_many_bytes_and_not_one_more(more: int, end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    # Spaces at the end: what is cut off there would still be JSON.
    path.write_bytes(GOOD.encode().ljust(LONGEST_LINE + more) + end)
    checked = RowCheck()
    if not more and end != b"\n\n":
        checked.read(path, "training")
        assert checked.rows == {"training": 1}
        return
    with pytest.raises(DataError) as caught:
        checked.read(path, "training")
    told = ("longer than 16 MiB", 1) if more else ("an empty line", 2)
    assert told[0] in str(caught.value) and caught.value.line == told[1]


def test_a_line_of_the_longest_length_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"[" + b" " * (LONGEST_LINE - 1) + b"\n")
    with pytest.raises(DataError, match="is not valid JSON"):
        RowCheck().read(path, "training")


@pytest.mark.parametrize(
    ("content", "line"), [(b"\n", 1), (b"%s\n\n%s\n", 2), (b"%s\n \t\n", 2), (b"%s\n\r\n", 2), (b"%s\n\n", 2)]
)
def test_an_empty_line_is_named(content: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.replace(b"%s", GOOD.encode()))
    with pytest.raises(DataError, match="an empty line") as caught:
        RowCheck().read(path, "training")
    assert caught.value.line == line


def test_a_file_without_a_line_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"")
    checked = RowCheck()
    checked.read(path, "training")
    assert checked.rows == {"training": 0}
