from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.cli.overrides import parse_settings
from lawtags_client.errors import ConfigurationError

KEYS = st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(KEYS, VALUES)
def test_a_value_arrives_at_its_place(parts: list[str], value: Any) -> None:
    written = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    found: Any = parse_settings([f"{'.'.join(parts)}={written}"])
    for part in parts:
        assert list(found) == [part]
        found = found[part]
    assert found == value


@given(st.lists(st.text(), max_size=4))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        assert isinstance(parse_settings(words), dict)
    except ConfigurationError as problem:
        assert problem.hint


@given(st.text())
def test_any_value_is_read_or_refused(value: str) -> None:
    try:
        assert set(parse_settings([f"key={value}"])) == {"key"}
    except ConfigurationError as problem:
        assert problem.hint


def test_settings_of_one_section_are_joined_and_the_last_word_counts() -> None:
    found = parse_settings(["training.epochs=3", "training.seed=1", "name=x", "training.epochs=4"])
    assert found == {"training": {"epochs": 4, "seed": 1}, "name": "x"}


@pytest.mark.parametrize("word", ["", "=", "=1", "epochs", ".a=1", "a..b=1", "a.=1", "a=[", "a=2025-99-99"])
def test_what_is_no_setting_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_settings([word])


def test_a_value_that_may_be_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(["curation.pii.key={canary"])
    assert "canary" not in str(caught.value)
