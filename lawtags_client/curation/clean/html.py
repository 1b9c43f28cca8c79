"""Convert HTML to plain text that keeps paragraphs, lists, quotes, code and links.

Text that only looks like HTML does not change: ``if a<b and b>c``, ``<https://example.com>``, Markdown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lawtags_client.curation.clean.html_tags import markup_in_prose, plain_markup
from lawtags_client.curation.clean.markdown import (
    Links,
    escape_code,
    escape_markup,
    image_text,
    markdown_links,
    split_code,
    without_code,
)
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from lxml.etree import _Element

_BLOCKS = (
    "address", "article", "aside", "blockquote", "caption", "center", "dd", "details", "dialog", "dir", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hgroup", "hr", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre",
    "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
)  # fmt: skip
# Scripts, embedded pages, drawings, and fallback content of media.
_DROPPED = (
    "script", "style", "noscript", "template", "title", "iframe", "object", "svg", "math", "video", "audio",
    "canvas", "applet", "datalist", "noembed", "noframes",
)  # fmt: skip

# Only a closed block indicates a document: a lone <sup> or <kbd> is common in Markdown.
_CLOSED_BLOCK = re.compile(r"</(?:p|div|ul|ol|li|pre|blockquote|table|h[1-6])\s*>", re.IGNORECASE)
_OPEN_BLOCK = re.compile(
    r"<(?:!doctype|html|(?:p|div|ul|ol|li|pre|blockquote|table|h[1-6])(?:\s[^<>]{0,2000})?>)", re.IGNORECASE
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_MAYBE_MARKUP = re.compile(r"<[a-zA-Z/!?]")
_BLOCK_TAG = rf"</?(?:{'|'.join(_BLOCKS)}|br)(?: [^<>]*)?>"
_BEFORE_BLOCK = re.compile(rf"(?<!\s)\s+(?={_BLOCK_TAG})")
_BEHIND_BLOCK = re.compile(rf"({_BLOCK_TAG})\s+")
# Placeholders for whitespace to keep. Unicode assigns no characters to these code points.
_LINE_END, _SPACE, _TAB, _CODE_LINE_END, _CODE_SPACE, _CODE_TAB = map(chr, range(0xFDD0, 0xFDD6))
_PROSE_SIGNS = str.maketrans({_LINE_END: "\n", _SPACE: " ", _TAB: "\t"})
_CODE_SIGNS = str.maketrans({_CODE_LINE_END: "\n", _CODE_SPACE: " ", _CODE_TAB: "\t"})
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def looks_like_html(text: str) -> bool:
    """Whether a text is HTML, complete or a fragment, as opposed to prose or Markdown with some tags.

    Args:
        text: a body.
    """
    if "</" not in text or not _CLOSED_BLOCK.search(text):
        return False
    text = without_code(text)
    return _CLOSED_BLOCK.search(text) is not None and _OPEN_BLOCK.search(text) is not None


def html_to_text(document: str, links: Links = "text") -> str:
    """Convert HTML to plain text.

    List items get ``-`` or numbers, quotes ``>``, code blocks a fence, and inline code backticks. Images
    become their alternative text. Scripts and styles are removed.

    Args:
        document: HTML, complete or a fragment.
        links: keep only the text of a link, or also its target in parentheses.

    Raises:
        MissingExtraError: lxml is not installed.

    Example:
        >>> html_to_text("<p>Is <b>3 &lt; 4</b>?</p><ul><li>yes</li></ul>")
        'Is 3 < 4?\\n\\n- yes'
    """
    if not document.strip():
        return ""
    return _text_of(plain_markup(document.replace("\x00", "")), links)


def prose_to_text(text: str, links: Links = "text") -> str:
    """Remove tags and comments from prose or Markdown, and keep its lines.

    Args:
        text: prose with occasional tags; code does not change.
        links: keep only the text of a link, or also its target.

    Raises:
        MissingExtraError: lxml is not installed.

    Example:
        >>> prose_to_text("Line one<!-- x -->\\nline <b>two, `<b>` and x < y")
        'Line one\\nline two, `<b>` and x < y'
    """
    if not _MAYBE_MARKUP.search(text):
        return text
    text = text.replace("\x00", "").translate(dict.fromkeys([*_PROSE_SIGNS, *_CODE_SIGNS]))
    parts = split_code(text, indented=True)
    document = "".join(_kept_lines(part) if is_code else part for part, is_code in parts)
    markup = markup_in_prose(document)
    if markup is None:
        return text
    # Blocks add their own line ends.
    markup = _BEHIND_BLOCK.sub(r"\1", _BEFORE_BLOCK.sub("", markup))
    lines = markup.replace("\r\n", "\n").replace("  ", _SPACE * 2)
    lines = lines.replace("\n", _LINE_END).replace("\t", _TAB)
    plain = _text_of(lines, links).translate(_PROSE_SIGNS)
    return _BLANK_LINES.sub("\n\n", plain).strip("\n").translate(_CODE_SIGNS)


def _kept_lines(code: str) -> str:
    """Code, protected from changes by the HTML parser."""
    escaped = escape_markup(code).replace("\r\n", "\n")
    return escaped.replace("\n", _CODE_LINE_END).replace(" ", _CODE_SPACE).replace("\t", _CODE_TAB)


def _text_of(markup: str, links: Links) -> str:
    try:
        from lxml import etree
    except ImportError as error:
        raise MissingExtraError("lxml", "curate", "reading HTML") from error
    # The parser treats a lone surrogate as the end of the text.
    data = markup.encode("utf-8", "replace")
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, huge_tree=True)
    root = etree.fromstring(b"<html><body>" + data + b"</body></html>", parser)
    writer = _TextWriter(links)
    # Events instead of recursion, because a page may nest deeper than Python's stack.
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            if event == "end":
                writer.text(element.tail)
        elif event == "start":
            writer.start(element)
        else:
            writer.end(element)
    return writer.result()


def strip_markup(text: str, links: Links = "text", markdown: bool = False) -> str:
    """Convert a body of unknown format to plain text: HTML by its structure, Markdown by its links and tags.

    Args:
        text: HTML, Markdown or plain text.
        links: keep only the text of a link, or also its target.
        markdown: whether the text is known to be Markdown.
    """
    if not markdown and looks_like_html(text):
        return html_to_text(escape_code(text), links)
    return markdown_links(prose_to_text(text, links), links)


def unescape_title(title: str) -> str:
    """Decode the entities of a title; Stack Exchange escapes titles, and they contain no tags."""
    return html.unescape(title) if _ENTITY.search(title) else title


def texts_to_plain(
    texts: pd.Series,
    links: Links = "text",
    html_rows: Iterable[bool] | None = None,
    markdown_rows: Iterable[bool] | None = None,
) -> pd.Series:
    """The batch form of :func:`strip_markup`.

    Args:
        texts: bodies; values that are not strings do not change.
        links: keep only the text of a link, or also its target.
        html_rows: which are known to be HTML; the format of the others is detected.
        markdown_rows: which are known to be Markdown.
    """
    from lawtags_client.curation.series import map_pairs

    known = list(html_rows) if html_rows is not None else [False] * len(texts)
    markdown = list(markdown_rows) if markdown_rows is not None else [False] * len(texts)

    def plain(text: str, kind: tuple[bool, bool]) -> str:
        return html_to_text(text, links) if kind[0] else strip_markup(text, links, kind[1])

    return map_pairs(texts, zip(known, markdown, strict=True), plain)


class _TextWriter:
    """Collects text, paragraph by paragraph.

    ``_prefix`` is put before each line: quotation marks, and the indent of list items.
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

    def start(self, element: _Element) -> None:
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
            self.text(image_text(element.get("alt") or ""))
        elif tag == "code" and self._pre is None:
            self._line.append("`")
            self._code += 1
        elif tag == "sup" and self._pre is None:
            self._line.append("^")
        elif tag == "a":
            self._anchors.append(len(self._line))
        self.text(element.text)

    def end(self, element: _Element) -> None:
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

    def _start_block(self, tag: str, element: _Element) -> None:
        # Cells of a row share its line.
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
        # If the label is the URL, the target would repeat it.
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
            # Items of a tight list are on consecutive lines.
            self._blocks.append("\n" if item and self._tight else "\n\n")
        self._tight = bool(self._lists)
        self._blocks.append("\n".join(line.rstrip() for line in written))
