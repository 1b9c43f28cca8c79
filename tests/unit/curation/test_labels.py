from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.labels import LabelError, read_tags
from lawtags_client.tagging.vocabulary import normalize_tag


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
        ('["a", "b"]', ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("copyright", ("copyright",)),
        ("", ()),
        ("[]", ()),
        (None, ()),
        ([], ()),
    ],
)
def test_tags_are_read_in_every_clear_form(value: object, tags: tuple[str, ...]) -> None:
    assert read_tags(value) == tags


@pytest.mark.parametrize(
    "value",
    ["contract law", "<a", "<a>b", "a|b", "{a}", "[a, b]", "[1, 2]", 5, 1.5, True, {"a": 1}, {"a"}, [1],
     [["a"]], [f"tag-{number}" for number in range(101)]],
)  # fmt: skip
def test_tags_are_not_guessed(value: object) -> None:
    with pytest.raises(LabelError):
        read_tags(value)


@given(st.lists(st.text(alphabet="abc-1", min_size=1, max_size=8).filter(normalize_tag), max_size=6))
def test_all_forms_of_one_list_are_read_alike(names: list[str]) -> None:
    tags = read_tags(names)
    assert read_tags("".join(f"<{name}>" for name in names)) == tags
    if len(names) > 1:
        assert read_tags(", ".join(names)) == tags


@given(st.text() | st.lists(st.text()) | st.integers() | st.dictionaries(st.text(), st.text()))
def test_no_value_raises_anything_else(value: object) -> None:
    with contextlib.suppress(LabelError):
        read_tags(value)
