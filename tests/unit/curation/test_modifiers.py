from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.clean.modifiers import clean_text, clean_title, repair_text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("the landlordâ€™s Â§ 5", "the landlord’s § 5"),
        ("ArtÃ­culo 5", "Artículo 5"),
        ("fair &amp; square", "fair & square"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_mojibake_is_repaired(wrong: str, right: str) -> None:
    assert repair_text(wrong) == right


@pytest.mark.parametrize(
    "text", ["§§ 5–7", "“quoted” — ‘so’", "ﬁne", "Ｗｉｄｅ", "a < b &amp c", "naïve café"]
)
def test_what_is_no_error_is_kept(text: str) -> None:
    assert repair_text(text) == text


@pytest.mark.parametrize(
    ("untidy", "tidy"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a \u00a0 b\u200bc", "a bc"),
        ("a\n\n\n\nb  \n", "a\n\nb"),
        ("\n> \n> quoted\n> \n> more\n> \n\nend", "> quoted\n>\n> more\n\nend"),
        ("```\nx  =  1\n```\ny  =  1", "```\nx  =  1\n```\ny = 1"),
        ("a\x00b", "ab"),
    ],
)
def test_white_space_is_tidied(untidy: str, tidy: str) -> None:
    assert clean_text(untidy) == tidy


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        (" Is this\nlegal?  [closed]", "Is this legal?"),
        ("[duplicate]", ""),
        ("A [closed] shop", "A [closed] shop"),
    ],
)
def test_titles_stand_on_one_line(title: str, clean: str) -> None:
    assert clean_title(title) == clean


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert clean_title(clean_title(text)) == clean_title(text) or "[" in text
