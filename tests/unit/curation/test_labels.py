from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.labels import LabelError, read_labels
from lawtags_client.tagging.vocabulary import normalize_tag


def _tags_of(value: object) -> tuple[str, ...]:
    return read_labels(value).tags


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (["Contract Law", "eu", "eu"], ("contract-law", "eu")),
        (("a", " "), ("a",)),
        ("<contract-law><united-states>", ("contract-law", "united-states")),
        ("<a> <b>", ("a", "b")),
        ("|a|b|", ("a", "b")),
        ("criminal law, united states", ("criminal-law", "united-states")),
        ("a;b", ("a", "b")),
        ("a|b", ("a", "b")),
        ("criminal law|united states", ("criminal-law", "united-states")),
        ("a\nb\n", ("a", "b")),
        ("&lt;contract-law&gt;&lt;r&amp;amp;d&gt;", ("contract-law", "r&d")),
        ("&#60;a&#62;&#x3c;b&#x3E;", ("a", "b")),
        ("r&amp;d;copyright", ("r&d", "copyright")),
        (["r&amp;d", "<a><b>"], ("r&d", "a", "b")),
        ("<a>,<b>", ("a", "b")),
        ("[u'contract-law', u'caf\\xe9']", ("contract-law", "café")),
        ("(u'a', u'b')", ("a", "b")),
        ("['a' 'b']", ("a", "b")),
        ("array(['a', 'b'], dtype=object)", ("a", "b")),
        ("array(['a', 'b'], dtype='<U1')", ("a", "b")),
        ('"contract-law"', ("contract-law",)),
        ('"[\\"a\\", \\"b\\"]"', ("a", "b")),
        ('"<a><b>"', ("a", "b")),
        (["a", None, float("nan")], ("a",)),
        ([b"a"], ("a",)),
        ("null-and-void", ("null-and-void",)),
        (["none", "null", "NA"], ("none", "null", "na")),
        ('["a", "b"]', ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("copyright", ("copyright",)),
        ("", ()),
        ("[]", ()),
        ("{}", ()),
        (None, ()),
        ([], ()),
        ("合同，租赁", ("合同", "租赁")),
        ("合同、租赁、版权", ("合同", "租赁", "版权")),
        ("عقد، إيجار", ("عقد", "إيجار")),
    ],
)
def test_tags_are_read_in_every_clear_form(value: object, tags: tuple[str, ...]) -> None:
    assert _tags_of(value) == tags


@pytest.mark.parametrize(
    ("value", "tags", "missing"),
    [
        ("a, nan, b", ("a", "b"), ("nan",)),
        ("a;None", ("a",), ("None",)),
        ("|a|NaN|b|", ("a", "b"), ("NaN",)),
        ("<NA>, a", ("a",), ("<NA>",)),
        ("(null)|a", ("a",), ("(null)",)),
        ("a\nNaT\n", ("a",), ("NaT",)),
        (["nan"], (), ("nan",)),
        (["#N/A", "a", " None "], ("a",), ("#N/A", "None")),
        ("['nan', 'a']", ("a",), ("nan",)),
        ('["NaN", "a", null, NaN]', ("a",), ("NaN",)),
        ("['a', nan, None]", ("a",), ()),
        ("['a', <NA>]", ("a",), ()),
        ("array(['a', nan], dtype=object)", ("a",), ()),
        ("[nan]", (), ()),
        ("NULL", (), ("NULL",)),
        ("null, sql", ("null", "sql"), ()),
        (["NULL"], ("null",), ()),
        ("nano, banana", ("nano", "banana"), ()),
        # A dump writes no gaps, and questions about NaN have this tag.
        ("<python><nan>", ("python", "nan"), ()),
        ("&lt;python&gt;&lt;nan&gt;", ("python", "nan"), ()),
        (["<python><nan>"], ("python", "nan"), ()),
    ],
)
def test_what_other_programs_write_for_a_gap_is_no_tag(
    value: object, tags: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    labels = read_labels(value)
    assert (labels.tags, labels.missing) == (tags, missing)


def test_a_gap_of_pandas_is_no_tag() -> None:
    pandas = pytest.importorskip("pandas")
    assert _tags_of(pandas.Series(["a", pandas.NA, pandas.NaT, None]).array) == ("a",)


@pytest.mark.parametrize(
    "value",
    ["contract law", "<a", "<a>b", "a|b;c", "a, b; c", "{a}", "[a, b]", "[1, 2]", 5, 1.5, True,
     {"a": 1}, {"a"}, [1], [["a"]], [f"tag-{number}" for number in range(101)]],
)  # fmt: skip
def test_tags_are_not_guessed(value: object) -> None:
    with pytest.raises(LabelError):
        _tags_of(value)


@given(st.lists(st.text(alphabet="abc-1", min_size=1, max_size=8).filter(normalize_tag), max_size=6))
def test_all_forms_of_one_list_are_read_alike(names: list[str]) -> None:
    tags = _tags_of(names)
    assert _tags_of("".join(f"<{name}>" for name in names)) == tags
    if len(names) > 1:
        assert _tags_of(", ".join(names)) == tags


@given(st.text() | st.lists(st.text()) | st.integers() | st.dictionaries(st.text(), st.text()))
def test_no_value_raises_anything_else(value: object) -> None:
    with contextlib.suppress(LabelError):
        _tags_of(value)


@pytest.mark.parametrize(
    "value", ["contract law", "{a,b}", "[a, b]", "a|b;c", "<a>b", "[u'a', b]", "['a'", "a, b; c"]
)
def test_a_form_that_is_not_known_is_shown_with_those_that_are(value: str) -> None:
    with pytest.raises(LabelError) as caught:
        _tags_of(value)
    assert "supported: a list, <a><b>, |a|b|, a|b, a, b and a; b" in caught.value.reason
    assert caught.value.detail == repr(value)
    with pytest.raises(LabelError) as caught:
        _tags_of("{" + value * 100)
    assert len(str(caught.value.detail)) < 70
