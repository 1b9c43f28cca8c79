from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.posts import read_posts
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import DataError

QUESTION = {
    "Id": "7",
    "PostTypeId": "1",
    "CreationDate": "2015-05-26T19:41:09.790",
    "Score": "-2",
    "Body": "<p>May I <b>copy</b> it?</p>\n<pre><code>a &lt; b</code></pre>",
    "Title": "Is “fair use” & parody < legal?",
    "Tags": "<copyright><fair-use>",
    "AnswerCount": "2",
    "ContentLicense": "CC BY-SA 3.0",
}
ANSWER = {"Id": "8", "PostTypeId": "2", "ParentId": "7", "Body": "<p>No.</p>", "Score": "3"}


def _dump(*posts: dict[str, str], head: str = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n') -> str:
    rows = "".join(
        "  <row " + " ".join(f"{name}={quoteattr(value)}" for name, value in post.items()) + " />\n"
        for post in posts
    )
    return f"{head}<posts>\n{rows}</posts>\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Posts.xml"


def _good(path: Path) -> Iterator[SourceRow]:
    (source,) = find_sources([path])
    for _, row in read_source(source, {}):
        assert isinstance(row, SourceRow)
        yield row


def test_questions_are_read_with_all_their_fields_and_answers_are_passed_over(path: Path) -> None:
    path.write_text(_dump(ANSWER, QUESTION, {"Id": "9", "PostTypeId": "5"}), encoding="utf-8")
    (row,) = _good(path)
    assert row == SourceRow(
        id="7",
        title=QUESTION["Title"],
        body=QUESTION["Body"],
        html=False,
        tags=("copyright", "fair-use"),
        complete=True,
        score=-2.0,
        created=QUESTION["CreationDate"],
        link=None,
        license="CC BY-SA 3.0",
        answered=True,
    )


def test_rows_have_the_line_where_they_stand(path: Path) -> None:
    path.write_text(_dump(QUESTION, ANSWER, QUESTION), encoding="utf-8")
    assert [raw.line for raw in read_posts(path)] == [3, 5]


def test_the_tags_of_newer_dumps_and_questions_of_unknown_answers_are_read(path: Path) -> None:
    changed = {name: value for name, value in QUESTION.items() if name != "AnswerCount"}
    dump = _dump(changed | {"Tags": "|copyright|fair-use|"}, QUESTION | {"AnswerCount": "0"})
    path.write_text(dump, encoding="utf-8")
    first, second = _good(path)
    assert (first.tags, first.answered) == (("copyright", "fair-use"), None)
    assert second.answered is False


def test_a_dump_may_be_packed(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    text = _dump(QUESTION).encode()
    for name, packed in (("gz", gzip.compress(text)), ("zst", pyarrow.compress(text, "zstd", asbytes=True))):
        path = tmp_path / f"Posts.xml.{name}"
        path.write_bytes(packed)
        assert [row.id for row in _good(path)] == ["7"]


ENTITY = '<!DOCTYPE posts [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n'
EXTERNAL = '<!DOCTYPE posts [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n'


@pytest.mark.parametrize("head", [ENTITY, EXTERNAL, '<!DOCTYPE posts SYSTEM "posts.dtd">\n'])
def test_a_document_type_is_refused_before_anything_is_expanded(path: Path, head: str) -> None:
    path.write_text(_dump(QUESTION, head=head), encoding="utf-8")
    with pytest.raises(DataError, match="document type") as caught:
        list(read_posts(path))
    assert caught.value.line == 1


def test_a_dump_that_was_cut_off_is_an_error_and_not_a_small_dump(path: Path) -> None:
    path.write_text(_dump(QUESTION, QUESTION)[:-60], encoding="utf-8")
    with pytest.raises(DataError, match="is not valid XML from here on") as caught:
        list(read_posts(path))
    assert caught.value.line is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('<users><row Id="1" /></users>', "of <users>"),
        ("not XML at all", "is not valid XML"),
        ("<posts></posts>", "contains no rows"),
    ],
)
def test_other_files_are_refused(path: Path, content: str, words: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        list(_good(path))


def test_a_row_without_end_does_not_fill_the_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lawtags_client.curation.read.posts.MAX_ROW_BYTES", 1 << 20)
    path.write_text('<posts><row PostTypeId="1" Body="' + "x" * 3_000_000, encoding="utf-8")
    with pytest.raises(DataError, match="longer than"):
        list(read_posts(path))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_text_comes_through(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Posts.xml"
        dump = _dump(QUESTION | {"Title": text}, head="")
        path.write_text(dump.replace("\ufffe", "").replace("\uffff", ""), encoding="utf-8")
        (row,) = read_posts(path)
        assert row.values["Title"] == text.replace("\ufffe", "").replace("\uffff", "")


@pytest.mark.parametrize(
    "wrong",
    ["&#x0E;", "&#14;", "&#0;", "&#x0;", "&#xFFFE;", "&#xD800;", "&#x110000;", "&#x00000000000E;", "\x0e",
     "\x00", "\ufffe"],
)  # fmt: skip
def test_a_character_that_xml_does_not_allow_is_dropped_and_told(path: Path, wrong: str) -> None:
    from lawtags_client.curation.read.notices import Notices

    dump = _dump(QUESTION, QUESTION | {"Title": "A@B"}, QUESTION).replace("@", wrong)
    path.write_bytes(dump.encode())
    notices = Notices()
    (source,) = find_sources([path])
    titles = [row.title for _, row in read_source(source, {}, notices=notices) if isinstance(row, SourceRow)]
    assert titles == [QUESTION["Title"], "AB", QUESTION["Title"]]
    assert notices.dropped == {"Posts.xml": 1}


def test_allowed_references_stay_and_none_is_cut_by_the_edge_of_a_chunk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lawtags_client.curation.read.posts._CHUNK", 7)
    path.write_text(
        _dump(QUESTION | {"Title": "A@B"}).replace("@", "&#x26;&#10;&#xE;&#233;&amp;"), encoding="utf-8"
    )
    assert [row.title for row in _good(path)] == ["A&\né&B"]


def test_wrong_bytes_cost_the_column_that_they_stand_in(path: Path) -> None:
    first = _dump(QUESTION | {"OwnerDisplayName": "J@rg"}, QUESTION | {"Title": "@"}, QUESTION).encode()
    path.write_bytes(first.replace(b"@", b"\xf6"))
    (source,) = find_sources([path])
    rows = [row for _, row in read_source(source, {})]
    assert [type(row).__name__ for row in rows] == ["SourceRow", "BadRow", "SourceRow"]


@pytest.mark.parametrize("encoding", ["windows-1252", "iso-8859-1", "utf-16"])
def test_a_dump_in_another_encoding_is_read(path: Path, encoding: str) -> None:
    dump = _dump(QUESTION | {"Title": "Schön"}, head=f'<?xml version="1.0" encoding="{encoding}"?>\n')
    path.write_bytes(dump.replace("“", "").replace("”", "").encode(encoding))
    assert [row.title for row in _good(path)] == ["Schön"]


@pytest.mark.parametrize("encoding", ["utf-7", "unicode_escape", "zlib", "x-unknown"])
def test_an_encoding_that_would_do_more_than_decode_is_refused(path: Path, encoding: str) -> None:
    path.write_text(_dump(QUESTION, head=f'<?xml version="1.0" encoding="{encoding}"?>\n'), encoding="utf-8")
    with pytest.raises(DataError, match="is XML in"):
        list(read_posts(path))
