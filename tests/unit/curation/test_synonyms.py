from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.synonyms import load_synonyms, rename_tags
from lawtags_client.errors import DataError


def _file(folder: Path, content: str, name: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "synonym,tag\nIP,Intellectual Property\n\n usa ,united-states\nu-s,usa\n"),
        ("s.csv", '\ufeffSynonym,Tag\r\n"ip",intellectual-property\r\nusa,united-states\r\nu-s,usa\r\n'),
        ("s.yaml", "ip: intellectual property\nusa: united-states\n# so they say\nu-s: usa\n"),
        ("s.yml", "{ip: intellectual-property, usa: united-states, u-s: USA}"),
    ],
)
def test_both_forms_are_read_normalised_and_followed_to_the_end(
    tmp_path: Path, name: str, content: str
) -> None:
    assert load_synonyms(_file(tmp_path, content, name)) == {
        "ip": "intellectual-property",
        "u-s": "united-states",
        "usa": "united-states",
    }


@pytest.mark.parametrize(
    ("name", "content", "words", "line"),
    [
        ("s.csv", "a,b\n", "no header", 1),
        ("s.csv", "synonym,tag\na,b,c\n", "3 fields", 2),
        ("s.csv", "synonym,tag\na\n", "1 fields", 2),
        ("s.csv", "synonym,tag\na,\n", "has no tag", 2),
        ("s.csv", 'synonym,tag\n"a,b\n', "is not valid CSV", 2),
        ("s.csv", "synonym,tag\na,b\na,c\n", "two meanings", 3),
        ("s.csv", "synonym,tag\na,b\nb,c\nc,a\n", "cycle: a → b → c → a", None),
        ("s.csv", "synonym,tag\na,A\n", "cycle: a → a", None),
        ("s.yaml", "a: b\nA: c\n", "two meanings", 2),
        ("s.yaml", "a: b\nb: a\n", "cycle", None),
        ("s.yaml", "- a\n", "is not a mapping", 1),
        ("s.yaml", "a: [b, c]\n", "something other than strings", 1),
        ("s.yaml", "x: y\nno: b\n", "something other than strings", 2),
        ("s.yaml", "a: 5\n", "something other than strings", 1),
        ("s.yaml", "a: 'b\n", "is not valid YAML", None),
        ("s.yaml", "a: !!python/name:os.system x\n", "something other than strings", 1),
        ("s.txt", "a b\n", "ending in '.txt'", None),
    ],
)
def test_what_is_no_list_of_synonyms_is_refused_by_line(
    tmp_path: Path, name: str, content: str, words: str, line: int | None
) -> None:
    with pytest.raises(DataError) as caught:
        load_synonyms(_file(tmp_path, content, name))
    assert words in str(caught.value)
    assert caught.value.line == line


def test_a_file_that_is_not_there_or_not_utf_8_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_synonyms(tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes(b"synonym,tag\ncaf\xe9,a\n")
    with pytest.raises(DataError, match="UTF-8"):
        load_synonyms(path)


NAMES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NAMES, NAMES), st.lists(NAMES))
def test_renaming_again_changes_nothing(pairs: dict[str, str], tags: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"{synonym},{tag}\n" for synonym, tag in pairs.items())
        path = _file(Path(folder), f"synonym,tag\n{lines}", "s.csv")
        try:
            synonyms = load_synonyms(path)
        except DataError:
            return
    once = rename_tags(tags, synonyms)
    assert rename_tags(once, synonyms) == once
    assert len(set(once)) == len(once)
    assert not set(once) & set(synonyms)
