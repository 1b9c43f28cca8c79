from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.html import html_to_text, looks_like_html, strip_markup, unescape_title


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("<p>One.</p><p>Two.</p>", "One.\n\nTwo."),
        ("<p>One\n  line</p>", "One line"),
        ("<p>a<br>b<br/>c</p>", "a\nb\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
        ("<blockquote><p>x</p><p>y</p></blockquote><p>z</p>", "> x\n\n> y\n\nz"),
        ("<blockquote><ul><li>x</li></ul></blockquote>", "> - x"),
        ("<pre><code>if a &lt; b:\n    go()\n</code></pre>", "```\nif a < b:\n    go()\n```"),
        ("<p>call <code>f(x)</code> now</p>", "call `f(x)` now"),
        ("<p>10<sup>2</sup></p>", "10^2"),
        ("<p>a</p><script>alert('x')</script><style>p{}</style><p>b</p>", "a\n\nb"),
        ("<p>a <!-- hidden --> b</p>", "a b"),
        ("<p><img src='u' alt='a chart'></p>", "a chart"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a | b\n\nc"),
        ("<p>Tom &amp; Jerry &#8212; &eacute;&nbsp;!</p>", "Tom & Jerry — é !"),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ("  ", ""),
    ],
)
def test_structure_survives(document: str, text: str) -> None:
    assert html_to_text(document) == text


@pytest.mark.parametrize(
    "stray",
    ["x<5 and y>3", "a < b", "<john@example.com>", "<https://example.com/a>", "<b and c>", "vector<int>"],
)
def test_a_stray_sign_in_html_is_no_tag(stray: str) -> None:
    assert html_to_text(f"<p>see {stray} here</p>") == f"see {stray} here"


def test_links_keep_their_text_or_their_target_too() -> None:
    document = '<p>See <a href="https://example.com/act">the act</a>.</p>'
    assert html_to_text(document) == "See the act."
    assert html_to_text(document, "text_and_target") == "See the act (https://example.com/act)."


def test_a_link_that_shows_its_address_says_it_once() -> None:
    document = '<p><a href="https://example.com">https://example.com</a></p>'
    assert html_to_text(document, "text_and_target") == "https://example.com"


@pytest.mark.parametrize(
    "text",
    [
        "if a<b and c>d then stop",
        "write to <john@example.com>",
        "see <https://example.com/x?a=1&b=2>",
        "> quoted\n\n- item\n\n    code < more",
        "H<sub>2</sub>O and <kbd>Ctrl</kbd>",
        "an array [1](2) is not array[1] (2)",
        "2 < 3 </ 4",
        "",
    ],
)
def test_plain_text_and_markdown_are_left_alone(text: str) -> None:
    expected = text.replace("[1](2)", "1")  # a link by Markdown's own rules
    assert strip_markup(text) == expected


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ('[the act](https://example.com/a_(b) "Title") rules', "the act rules"),
        ("![alt](https://example.com/i.png)", "alt"),
        ("[![alt](https://example.com/i.png)](https://example.com)", "alt"),
        ("[a [b] c](https://example.com)", "a [b] c"),
        ("`[a](b)` and [a](b)", "`[a](b)` and a"),
        ("```\n[a](b)\n```\n[a](b)", "```\n[a](b)\n```\na"),
    ],
)
def test_markdown_links_become_their_text(markdown: str, text: str) -> None:
    assert strip_markup(markdown) == text


def test_titles_are_unescaped_and_keep_their_signs() -> None:
    assert unescape_title("&quot;Fair use&quot; &amp; a<b") == '"Fair use" & a<b'


@given(st.text(alphabet=st.characters(exclude_characters="<&[`", exclude_categories=("Cs",))))
def test_text_without_markup_is_no_html(text: str) -> None:
    assert not looks_like_html(text)
    assert strip_markup(text) == text


@given(st.text(alphabet="<>/abp! =\"'-&;[]()`\n", max_size=60))
def test_no_input_raises(text: str) -> None:
    strip_markup(text)
    html_to_text(text)


@pytest.mark.parametrize(
    "heap",
    [heap * 20_000 for heap in ("<p>", "</p><p ", "[a", "[", "<!--", "<a href='", "](", "```\n")],
)
def test_heaps_of_markup_take_no_long_time(heap: str) -> None:
    started = time.process_time()
    strip_markup(heap)
    html_to_text(heap)
    assert time.process_time() - started < 5
