from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.clean.html import html_to_text, looks_like_html, strip_markup, unescape_title


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
        "Dear <title> <name>, of <address>",
        "#include <map>\n#include <string>",
        "Map<Link>, Vec<option> and a <b and c> d",
        "if x <a == b",
        "--> and <-- and <3",
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
    [
        heap * 20_000
        for heap in (
            "<p>",
            "</p><p ",
            "[a",
            "[",
            "<!--",
            "<a href='",
            "](",
            "```\n",
            "<b>x ",
            "<b \n",
            " \n<p>",
            "[1]: ",
            "[a][1]\n[1]: b\n",
            "    x\n\n",
            "\n \n",
        )
    ],
)
def test_heaps_of_markup_take_no_long_time(heap: str) -> None:
    started = time.process_time()
    strip_markup(heap)
    html_to_text(heap)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("<details open><summary>S</summary><p>x</p></details>", "S\n\nx"),
        ("<p><time datetime='2020'>New Year</time> <data value=3>x</data></p>", "New Year x"),
        ("<p class=M>x<o:p></o:p><st1:city w:st=\"on\">Rome</st1:city></p>", "xRome"),
        ("<p>a<my-widget kind=x>b</my-widget>c<custom/>d</p>", "abcd"),
        ("<p @click=\"a > b\" :x='<b>' v-on:click=y data-x hidden>z</p>", "z"),
        ("<p>a<![if !supportLists]>b<![endif]>c</p><!--[if gte mso 9]><xml>x</xml><![endif]-->", "abc"),
        ("<![CDATA[<p>x</p>]]><?xml:namespace prefix = o /><!DOCTYPE html><p>y</p>", "x\n\ny"),
        ("<?php echo 'a > b' ?><p>y</p>", "y"),
        ("<p>a</p><script>if (a<b) f('</p>')</script><STYLE>p > a {}</STYLE ><p>b</p>", "a\n\nb"),
        ("<p>a<script>b</p><p>c<style>d</p>", "ab\n\ncd"),
        ("<p>a <video controls src=x>none</video><iframe allowfullscreen>y</iframe> b</p>", "a b"),
        ("<p>text <a href=\"http://x", "text"),
        ("<p>text</p", "text"),
        ("<p><a href=\"x\"class=\"y\"target=_blank>z</a><input type=text disabled></p>", "z"),
        ("<p><img alt=\"a < b\" src='data:image/png;base64," + "A" * 9000 + "'> x</p>", "a < b x"),
        ("<p>caf&eacute is &copy 2020 &amp R&D AT&T ?a=1&copy=2 &#8212 &apos;&lbrack;&#150;</p>",
         "café is © 2020 & R&D AT&T ?a=1&copy=2 — '[–"),
        ("<table><caption>Fees</caption><colgroup><col><tr><td nowrap>a</td><td>b</td></tr></table>",
         "Fees\n\na | b"),
        ("<p>List<String> Map<K, V> Foo<T> Array<Object> vector<int> std::vector<T></p>",
         "List<String> Map<K, V> Foo<T> Array<Object> vector<int> std::vector<T>"),
        ("<pre><code>List<String> x = a < b;\nif (x<y) {}</code></pre>",
         "```\nList<String> x = a < b;\nif (x<y) {}\n```"),
        ("<p>to <your name>, <first-name> I <3 <- -> <= </p>", "to <your name>, <first-name> I <3 <- -> <="),
        ("<p>a<!>b<!-->c<!-- d --><!-- e", "abc e"),
        ("<p>one<b>two <i>three", "onetwo three"),
    ],
)  # fmt: skip
def test_no_element_leaks_and_no_prose_is_lost(document: str, text: str) -> None:
    assert html_to_text(document).replace("  ", " ") == text


@given(
    st.sampled_from(
        ["article", "dialog", "font", "x-y", "o:p", "nobr", "marquee", "label", "ruby", "tt", "meter"]
    ),
    st.lists(
        st.sampled_from(["open", "hidden", "a=1", 'b="x > y"', "c='<d>'", "data-x", "aria-label='z'"]),
        max_size=4,
    ),
)
def test_an_element_of_any_name_and_attributes_leaves_its_text_alone(
    name: str, attributes: list[str]
) -> None:
    tag = " ".join([name, *attributes])
    assert html_to_text(f"<p>one</p><{tag}>two</{name}>").split() in (["one", "two"], ["one two"])


@pytest.mark.parametrize(
    "text",
    [
        "Use `<p>` and `</p>` here.",
        "```html\n<p>one</p>\n```\nWhat is wrong?",
        "~ `<div>a</div>` ~",
    ],
)
def test_markdown_that_quotes_html_is_no_html(text: str) -> None:
    assert strip_markup(text) == strip_markup(text, markdown=True) == text


def test_indented_code_is_code_where_the_body_is_known_to_be_markdown() -> None:
    text = "What is wrong with\n\n    <ul>\n      <li>a</li>\n    </ul>\n\nthis?"
    assert strip_markup(text, markdown=True) == text
    assert strip_markup(text) != text


LINES = "One & two\n  three\n\n- a\n  - b"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>unclosed <b>", "unclosed"),
        ("<p>One &amp;<p>two <em>three", "One &\n\ntwo three"),
        ("<div>\n  <ul>\n    <li>a\n    <li>b", "- a\n- b"),
        ("<table><tr><td>a<td>b<tr><td>c", "a | b\n\nc"),
        ("<P>One<P>two", "One\n\ntwo"),
        (f"<details>\n<summary>More</summary>\n\n{LINES}\n\n</details>\n\nrest",
         f"More\n\n{LINES}\n\nrest"),
        ("<details open><summary>S", "S"),
        ("<!-- x -->", ""),
        ("<!-- x", "x"),
        (f"{LINES}\n<!-- a note\nof two lines -->\nend", f"{LINES}\nend"),
        (f"{LINES} <span class=x>c</span>", f"{LINES} c"),
        ("H<sub>2</sub>O, 10<sup>2</sup> and <kbd>Ctrl</kbd>", "H2O, 10^2 and Ctrl"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("> quoted <b>x\n> more", "> quoted x\n> more"),
        ("<o:p>x</o:p> of <your name>", "x of <your name>"),
        ("<b>List<String></b> of <a@b.example>, x < y", "List<String> of <a@b.example>, x < y"),
        ("See [the act](https://example.com) <!-- x -->in <i>full", "See the act in full"),
    ],
)  # fmt: skip
def test_lone_markup_goes_and_lines_stay(text: str, plain: str) -> None:
    assert strip_markup(text) == strip_markup(text, markdown=True) == plain


@pytest.mark.parametrize(
    "code",
    [
        "`<p>` and ``<b>``",
        "```html\n<p>a\n\n\n\n\t<!-- b -->&amp;\n```",
        "~~~\n<div>\n~~~",
        "1. one\n   ```\n   <p>x  y\n   ```",
        "What of\n\n    <p>a</b>\n\n      <!-- x -->\n\nhere?",
    ],
)
def test_code_keeps_its_markup_beside_lone_markup(code: str) -> None:
    assert strip_markup(f"<!-- x -->\n{code}\n\n<b>end") == f"{code}\n\nend"


def test_a_link_in_prose_keeps_its_target_where_asked() -> None:
    text = "one\n<a href='https://example.com'>two</a>\n[three][1]\n\n[1]: https://example.org"
    assert strip_markup(text) == "one\ntwo\nthree"
    targets = "one\ntwo (https://example.com)\nthree (https://example.org)"
    assert strip_markup(text, "text_and_target") == targets


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("See ![a chart][1].\n\n[1]: https://example.com/y.png", "See a chart."),
        ("[![enter image description here][1]][1] b\n\n  [1]: https://i.example.com/a.png", " b"),
        ("![pic]\n\n[pic]: pic.png", "pic"),
        ('The [act][Act] of [us][] and [me].\n\n[act]: https://a.example "T"\n'
         "[US]: <https://b.example/x y>\n[me]: /me",
         "The act of us and me."),
        ("[a [b]\nc][1]\n\n[1]:\n  https://a.example\n  'T'\n", "a [b]\nc"),
        ("See [1].\n\n[1]: https://a.example", "See [1]."),
        ("> [x][1]\n> [1]: https://a.example\n\nrest", "> x\n\nrest"),
        ("one\n\n[9]: https://unused.example", "one"),
        ("`[a][1]` [a][1]\n\n```\n[1]: https://b.example\n```\n\n[1]: https://a.example",
         "`[a][1]` a\n\n```\n[1]: https://b.example\n```"),
    ],
)  # fmt: skip
def test_definitions_of_links_and_images_go_with_them(markdown: str, text: str) -> None:
    assert strip_markup(markdown) == text


@pytest.mark.parametrize(
    "text",
    [
        "[note]: see",
        "a [^1]\n\n[^1]: https://a.example",
        "[a][b] and [2020] EWCA 1",
        "[to do]: ask them again",
    ],
)
def test_brackets_that_define_nothing_stay(text: str) -> None:
    assert strip_markup(text) == text


def test_code_in_a_document_of_both_kinds_keeps_its_tags() -> None:
    assert strip_markup("<p>Use `<b>` here</p>") == "Use `<b>` here"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('<p>a</p><p><img alt="enter image description here" src=x></p>', "a"),
        ('<p>a <img alt="IMG_0123.JPG"><img alt="a chart"></p>', "a a chart"),
        ("a ![enter image description here](http://x/y.png) b", "a  b"),
        ("a [![Enter image description here][1]][1] b", "a  b"),
        ("a ![enter image description here][1] b", "a  b"),
        ("a ![the notice][1] b", "a ![the notice][1] b"),
        ("`![enter image description here](x)`", "`![enter image description here](x)`"),
        ("[![alt text](x)](y) b", " b"),
    ],
)
def test_what_editors_write_for_an_image_goes_with_it(text: str, plain: str) -> None:
    assert strip_markup(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>a</p><my-card wide>in</my-card>", "a\n\nin"),
        ("<section><time datetime=2020>noon</time></section>", "noon"),
        ("before <svg viewBox='0 0 1 1'><path d='M0'/></svg> after", "before after"),
        ("a <script>alert(1)</script>b", "a b"),
        ("type `<section>x</section>` here", "type `<section>x</section>` here"),
        ("write to <your-name here>, if x<y", "write to <your-name here>, if x<y"),
    ],
)
def test_html_without_paragraphs_is_html_too(text: str, plain: str) -> None:
    assert strip_markup(text).replace("  ", " ") == plain
