"""HTML to plain text that keeps what a reader needs: paragraphs, lists, quotes, code, links.

Text that only looks like HTML is left alone: ``if a<b and b>c``, ``<https://example.com>`` and Markdown
come out as they went in.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

Links = Literal["text", "text_and_target"]

_BLOCKS = (
    "address", "article", "aside", "blockquote", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
)  # fmt: skip
_INLINE = (
    "a", "abbr", "b", "bdi", "bdo", "big", "br", "cite", "code", "del", "dfn", "em", "font", "i", "img",
    "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt",
    "u", "var", "wbr", "html", "body", "head",
)  # fmt: skip
_DROPPED = ("script", "style", "noscript", "template", "title", "iframe", "object", "svg", "math")
_KNOWN = "|".join(sorted({*_BLOCKS, *_INLINE, *_DROPPED}, key=len, reverse=True))

# An attribute must have a value: "<b and c>" is a comparison, not a bold tag.
_ATTRIBUTES = r"(?:\s+[a-zA-Z_:][\w:.-]*\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'|[^\s\"'<>=]+))*"
# Only a closed block betrays a document: a lone <sup> or <kbd> is common in Markdown.
_CLOSED_BLOCK = re.compile(r"</(?:p|div|ul|ol|li|pre|blockquote|table|h[1-6])\s*>", re.IGNORECASE)
_OPEN_BLOCK = re.compile(
    rf"<(?:!doctype|html|(?:p|div|ul|ol|li|pre|blockquote|table|h[1-6]){_ATTRIBUTES}\s*>)", re.IGNORECASE
)
_STRAY = re.compile(rf"<(?!/?(?:{_KNOWN}){_ATTRIBUTES}\s*/?>|!doctype[^>]*>)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_BLANK_LINES = re.compile(r"\n{3,}")

# [text](target "title") with one level of brackets in the text and of parentheses in the target.
# The bounds keep the search linear on text made of brackets.
_LABEL = r"\[((?:[^\[\]\n]|\[[^\[\]\n]{0,300}\]){0,600})\]"
_TARGET = r"\(\s{0,9}<?((?:[^()\s<>]|\([^()\s]{0,300}\)){1,2000})>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_IMAGE = re.compile("!" + _LABEL + _TARGET)
_LINK = re.compile(r"(?<!!)" + _LABEL + _TARGET)
_FENCE = re.compile(r"(^```.*?^```[^\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def looks_like_html(text: str) -> bool:
    """Whether a text is an HTML document or fragment, and not prose that holds a ``<``."""
    return "</" in text and bool(_CLOSED_BLOCK.search(text) and _OPEN_BLOCK.search(text))


def html_to_text(document: str, links: Links = "text") -> str:
    """Turn HTML into plain text.

    Lists get ``-`` or numbers, quotations ``>``, code blocks a fence, inline code backticks, images their
    alternative text; scripts and styles go.

    Args:
        document: HTML, whole or in part.
        links: keep the text of a link alone, or its target in parentheses as well.

    Raises:
        MissingExtraError: lxml is not installed.

    Example:
        >>> html_to_text("<p>Is <b>3 &lt; 4</b>?</p><ul><li>yes</li></ul>")
        'Is 3 < 4?\\n\\n- yes'
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise MissingExtraError("lxml", "curate", "reading HTML") from error
    if not document.strip():
        return ""
    escaped = _escape_strays(document.replace("\x00", ""))
    # The parser takes a lone surrogate for the end of the text.
    data = escaped.encode("utf-8", "replace")
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, huge_tree=True)
    root = etree.fromstring(b"<html><body>" + data + b"</body></html>", parser)
    writer = _TextWriter(links)
    # Events rather than recursion: a page may nest deeper than Python's stack.
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            if event == "end":
                writer.text(element.tail)
        elif event == "start":
            writer.start(element)
        else:
            writer.end(element)
    return writer.result()


def strip_markup(text: str, links: Links = "text") -> str:
    """Turn a body of unknown kind into plain text: HTML by its structure, Markdown by its links.

    Args:
        text: HTML, Markdown or plain text.
        links: keep the text of a link alone, or its target as well.
    """
    return html_to_text(text, links) if looks_like_html(text) else markdown_links(text, links)


def markdown_links(text: str, links: Links = "text") -> str:
    """Turn Markdown links and images into their text, outside of code.

    Example:
        >>> markdown_links("See [the act](https://example.com/act) and [2] (b).")
        'See the act and [2] (b).'
    """
    if "](" not in text:
        return text
    target = r"\1" if links == "text" else r"\1 (\2)"

    def plain(part: str) -> str:
        # An image may stand inside a link, so it goes first.
        return _LINK.sub(target, _IMAGE.sub(r"\1", part))

    # re.split with one group gives text and code in turns.
    return "".join(part if place % 2 else plain(part) for place, part in enumerate(_FENCE.split(text)))


def unescape_title(title: str) -> str:
    """Decode the entities of a title, which Stack Exchange serves escaped; titles hold no tags."""
    return html.unescape(title) if _ENTITY.search(title) else title


def texts_to_plain(
    texts: pd.Series, links: Links = "text", html_rows: Iterable[bool] | None = None
) -> pd.Series:
    """The batch form of :func:`strip_markup`.

    Args:
        texts: bodies; what is no text stays.
        links: keep the text of a link alone, or its target as well.
        html_rows: which of them are known to be HTML; the others are looked at.
    """
    from lawtags_client.curation.series import map_pairs

    known = list(html_rows) if html_rows is not None else [False] * len(texts)
    return map_pairs(
        texts, known, lambda text, sure: html_to_text(text, links) if sure else strip_markup(text, links)
    )


def _escape_strays(document: str) -> str:
    # The parser would take "<5" or "<john@example.com>" for a tag, and an open comment swallows the rest.
    last_comment_end = document.rfind("-->")

    def escape(found: re.Match[str]) -> str:
        comment = document.startswith("<!--", found.start()) and found.start() < last_comment_end
        return "<" if comment else "&lt;"

    return _STRAY.sub(escape, document)


class _TextWriter:
    """Collects text, paragraph by paragraph.

    ``_prefix`` holds what stands before each line: quotation marks and the indent of list items.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._blocks: list[str] = []
        self._line: list[str] = []
        self._prefix: list[str] = []
        self._bullet: str | None = None
        self._lists: list[int | None] = []
        self._tight = False
        self._dropped = 0
        self._code = 0
        self._pre: list[str] | None = None
        self._anchors: list[int] = []

    def text(self, value: str | None) -> None:
        if not value or self._dropped:
            return
        if self._pre is not None:
            self._pre.append(value)
        else:
            self._line.append(_SPACES.sub(" ", value))

    def start(self, element: Any) -> None:
        tag = element.tag.lower()
        if tag in _DROPPED:
            self._dropped += 1
            return
        if self._dropped:
            return
        if tag in _BLOCKS:
            self._start_block(tag, element)
        elif tag == "br":
            self._append("\n")
        elif tag == "img":
            self.text(element.get("alt"))
        elif tag == "code" and self._pre is None:
            self._line.append("`")
            self._code += 1
        elif tag == "sup" and self._pre is None:
            self._line.append("^")
        elif tag == "a":
            self._anchors.append(len(self._line))
        self.text(element.text)

    def end(self, element: Any) -> None:
        tag = element.tag.lower()
        if tag in _DROPPED:
            self._dropped -= 1
        elif not self._dropped:
            if tag in _BLOCKS:
                self._end_block(tag)
            elif tag == "code" and self._code and self._pre is None:
                self._line.append("`")
                self._code -= 1
            elif tag == "a" and self._anchors:
                self._end_link(element.get("href"), self._anchors.pop())
        self.text(element.tail)

    def result(self) -> str:
        self._flush()
        return _BLANK_LINES.sub("\n\n", "".join(self._blocks)).strip("\n")

    def _append(self, value: str) -> None:
        (self._line if self._pre is None else self._pre).append(value)

    def _start_block(self, tag: str, element: Any) -> None:
        # A cell goes on with its row.
        if tag in ("td", "th") and "".join(self._line).strip():
            self._line.append(" | ")
            return
        self._flush()
        if tag == "blockquote":
            self._prefix.append("> ")
        elif tag in ("ul", "ol"):
            start = element.get("start") or "1"
            first = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
            self._lists.append(first if tag == "ol" else None)
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is not None:
                self._lists[-1] = number + 1
            self._bullet = "- " if number is None else f"{number}. "
            self._prefix.append(" " * len(self._bullet))
        elif tag == "pre" and self._pre is None:
            self._pre = []

    def _end_block(self, tag: str) -> None:
        if tag in ("td", "th"):
            return
        if tag == "pre" and self._pre is not None:
            code, self._pre = "".join(self._pre).strip("\n"), None
            if code.strip():
                self._write(f"```\n{code}\n```")
            return
        self._flush()
        if tag in ("blockquote", "li") and self._prefix:
            self._prefix.pop()
            if tag == "li":
                self._bullet = None
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            self._tight = bool(self._lists)

    def _end_link(self, href: str | None, begin: int) -> None:
        label = "".join(self._line[begin:]).strip()
        # A link whose label is its address would say the same twice.
        if self._links == "text_and_target" and href and not href.startswith("#") and href != label:
            self._append(f" ({href.strip()})")

    def _flush(self) -> None:
        lines = [line.strip() for line in "".join(self._line).split("\n")]
        self._line.clear()
        self._anchors.clear()
        text = "\n".join(lines).strip("\n")
        if text.strip(" `") or "`" in text.replace("``", ""):
            self._write(text)

    def _write(self, text: str) -> None:
        prefix = "".join(self._prefix)
        item = self._bullet is not None
        first = prefix
        if self._bullet is not None:
            first = prefix[: len(prefix) - len(self._bullet)] + self._bullet
            self._bullet = None
        lines = text.split("\n")
        written = [(first if place == 0 else prefix) + line for place, line in enumerate(lines)]
        if self._blocks:
            # Items of a list follow one another line by line.
            self._blocks.append("\n" if item and self._tight else "\n\n")
        self._tight = bool(self._lists)
        self._blocks.append("\n".join(line.rstrip() for line in written))
