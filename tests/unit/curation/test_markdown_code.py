"""Code that Markdown quotes keeps its tags, whatever marks it as code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.clean.html import strip_markup
from lawtags_client.curation.clean.markdown import markdown_links, split_code


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Two ``a `<b>` c`` and <b>bold</b>", "Two ``a `<b>` c`` and bold"),
        ("Three ``` <i>x</i> ``y`` ``` and <i>z</i>", "Three ``` <i>x</i> ``y`` ``` and z"),
        ("Open:\n\n```\n<b>quoted</b> and more", "Open:\n\n```\n<b>quoted</b> and more"),
        ("Open:\n\n~~~ html\n<p>quoted</p>", "Open:\n\n~~~ html\n<p>quoted</p>"),
        ("~~~~\n<i>x</i>\n~~~\n<b>y</b>\n~~~~\n\n<b>z</b>", "~~~~\n<i>x</i>\n~~~\n<b>y</b>\n~~~~\n\nz"),
        ("````\n```\n<b>x</b>\n```\n````\n\n<b>y</b>", "````\n```\n<b>x</b>\n```\n````\n\ny"),
        ("```a <b>```, then <i>x</i> and `y`", "```a <b>```, then x and `y`"),
        ("A ` alone, `` two and <b>bold</b>", "A ` alone, `` two and bold"),
    ],
)
def test_code_keeps_its_tags_and_prose_does_not(text: str, plain: str) -> None:
    assert strip_markup(text, "text", True) == plain


def test_links_in_code_of_any_marks_stay() -> None:
    text = "``[a](b) ` `` and [c](d)\n\n```\n[e](f)"
    assert markdown_links(text) == "``[a](b) ` `` and c\n\n```\n[e](f)"


@given(st.text(alphabet="`~\n a<>", max_size=200))
def test_the_parts_of_a_text_are_the_text(text: str) -> None:
    assert "".join(part for part, _ in split_code(text)) == text


@pytest.mark.parametrize("text", ["`" * 50_000, "` `` " * 20_000, "```\n" * 20_000, "a`\n" * 20_000])
def test_marks_without_end_take_no_time_to_read(text: str) -> None:
    assert "".join(part for part, _ in split_code(text)) == text
