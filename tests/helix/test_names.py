"""Names that Helix takes, names that are refused, and names that are made."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.names import (
    RULE,
    adapter_reference,
    check_name,
    is_valid,
    make_name,
    split_adapter,
    split_reference,
)

VALID = ["ab", "law-tags", "a.b", "a_b", "llama-3.2@v1+x", "x" * 63]
INVALID = ["", "a", "Law", "law tags", "law--tags", "law-", "1law", "-law", "x" * 64, "law\n", "läw", "a/b"]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_name_stays_as_it_is(name: str) -> None:
    assert check_name(name) == make_name(name) == name


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_name_is_refused_with_one_that_would_do(name: str) -> None:
    with pytest.raises(ConfigurationError, match="does not take the fileset") as caught:
        check_name(name, "fileset")
    assert caught.value.hint is not None
    proposed = re.match(r"Use '([^']+)'", caught.value.hint)
    assert proposed is not None
    assert is_valid(proposed[1])


@given(st.text(max_size=90), st.text(max_size=20))
def test_a_name_can_be_made_of_any_text(text: str, token: str) -> None:
    made, marked = make_name(text), make_name(text, token=token)
    assert re.fullmatch(RULE, made) and re.fullmatch(RULE, marked)
    assert make_name(made) == made
    assert make_name(text) == made


@given(st.from_regex(r"[a-z][a-z0-9@.+_]{1,20}(-[a-z0-9]{1,9}){0,3}", fullmatch=True))
def test_the_rule_and_the_check_agree(name: str) -> None:
    assert is_valid(name)
    assert make_name(name) == name


@given(st.text(min_size=64, max_size=70, alphabet="abc-"), st.text(min_size=1, max_size=5, alphabet="xyz"))
def test_long_texts_with_different_ends_get_different_names(text: str, end: str) -> None:
    assert make_name(f"z{text}") != make_name(f"z{text}{end}")


@pytest.mark.parametrize(("one", "other"), [("法律", "税法"), ("法-tags", "税-tags"), ("Право", "Налог")])
def test_letters_that_have_no_counterpart_keep_names_apart(one: str, other: str) -> None:
    assert make_name(one) != make_name(other)
    assert make_name("Für Élise") == "fur-elise"


def test_references_have_a_workspace_or_take_the_default() -> None:
    assert split_reference("tags", "law") == ("law", "tags")
    assert split_reference("other/tags", "law") == ("other", "tags")
    for wrong in ("a/b/c", "law/Tags", "Law/tags", "law/tags#train.jsonl", "/tags", "law/"):
        with pytest.raises(ConfigurationError):
            split_reference(wrong, "law")


def test_adapters_are_named_with_their_base() -> None:
    composite = adapter_reference("law/gemma", "law/tagger")
    assert composite == "law/gemma&adapters/law/tagger"
    assert split_adapter(composite) == ("law/gemma", "law/tagger")
    assert split_adapter("law/gemma") == ("law/gemma", None)
    with pytest.raises(ConfigurationError, match="has no workspace"):
        adapter_reference("gemma", "law/tagger")
