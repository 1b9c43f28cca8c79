"""Replace Markdown links and images by their text, and leave code alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Links = Literal["text", "text_and_target"]

# [text](target "title") with one level of brackets in the text and of parentheses in the target.
# The bounds keep the search linear on text made of brackets.
_LABEL = r"\[((?:[^\[\]\n]|\[[^\[\]\n]{0,300}\]){0,600})\]"
_TARGET = r"\(\s{0,9}<?((?:[^()\s<>]|\([^()\s]{0,300}\)){1,2000})>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_IMAGE = re.compile("!" + _LABEL + _TARGET)
_LINK = re.compile(r"(?<!!)" + _LABEL + _TARGET)
# A fence may occur in a list or a quotation.
_MARGIN = r"(?:[ ]{0,3}>[ ]?){0,9}[ ]{0,6}"
# A fence ends with as many backticks or tildes as it starts with, or with the text; a span with as many.
# See https://spec.commonmark.org/0.31.2/#fenced-code-blocks and #code-spans.
_CODE = re.compile(
    rf"^{_MARGIN}(?P<fence>`{{3,}}(?=[^`\n]*$)|~{{3,}})[^\n]*$.*?(?:^{_MARGIN}(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE | re.DOTALL,
)
# Indented code needs a blank line before it; otherwise, it belongs to the paragraph.
_INDENTED_BLOCK = re.compile(r"(?:\A|\n[ \t]*\n)((?: {4}|\t)[^\n]*(?:\n(?:[ \t]*\n)*(?: {4}|\t)[^\n]*)*)")
# '[1]: https://example.com "title"'. A label that starts with "^" is a footnote. See
# https://spec.commonmark.org/0.31.2/#link-reference-definitions.
_DEFINITION = re.compile(
    r"^(?:[ ]{0,3}>[ ]?){0,9}[ ]{0,3}\[(?P<label>[^\[\]\n^][^\[\]\n]{0,300})\]:[ \t]*\n?[ \t]*"
    r"(?:<(?P<angled>[^<>\n]{0,2000})>|(?P<target>[^\s<]\S{0,2000}))"
    r"(?:\s{1,9}(?:\"[^\"\n]{0,300}\"|'[^'\n]{0,300}'|\([^()\n]{0,300}\)))?[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
# A definition even without references to it; "[note]: see" is not one.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|mailto:|www\.|//)\S", re.IGNORECASE)
_REFERRED = r"(?:\[(?P<label>[^\[\]\n]{0,300})\])?(?![\[(:])"
_REFERENCED_IMAGE = re.compile(r"!\[(?P<text>[^\[\]\n]{0,300})\]" + _REFERRED)
# One level of brackets in the text, as with other links.
_REFERENCED_LINK = re.compile(
    r"(?<![!\]\\])\[(?P<text>(?:[^\[\]\n]|\n(?!\s*\n)|\[[^\[\]\n]{0,300}\]){1,600})\]" + _REFERRED
)
# An image by reference, alone or within a link; dropped only if its description is an editor's default.
_REFERENCED = re.compile(r"!\[([^\[\]\n]{0,300})\](?:\[[^\[\]\n]{0,300}\])?")
_EMPTY_LINK = re.compile(r"(?<!!)\[\s*\](?:\([^()\s]{0,2000}\)|\[[^\[\]\n]{0,300}\])")

# Default descriptions of editors (https://meta.stackexchange.com/questions/184187), in the languages of
# its sites, and file names.
_BOILERPLATE = frozenset(
    {
        "enter image description here", "image description here", "enter image description", "alt text",
        "image alt text", "alternative text", "image", "img", "picture", "photo", "screenshot",
        "image description", "insert image description here", "введите сюда описание изображения",
        "insira a descrição da imagem aqui", "introduce la descripción de la imagen aquí",
        "introducir la descripción de la imagen aquí", "ここに画像の説明を入力", "画像の説明をここに入力",
        "imagen", "изображение", "bildbeschreibung hier eingeben", "请输入图片描述", "在此处输入图片描述",
    }
)  # fmt: skip
_FILE_NAME = re.compile(r"\S{1,300}\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?|heic|avif)", re.IGNORECASE)


def image_text(description: str) -> str:
    """The description of an image; empty if it is an editor's default.

    Example:
        >>> image_text("enter image description here"), image_text("a chart")
        ('', 'a chart')
    """
    told = " ".join(description.split()).strip(" .:[]").casefold()
    return "" if told in _BOILERPLATE or _FILE_NAME.fullmatch(told) else description


def markdown_links(text: str, links: Links = "text") -> str:
    """Replace Markdown links and images outside of code by their text, and remove link definitions.

    Example:
        >>> markdown_links("See [the act](https://example.com/act) and [2] (b).")
        'See the act and [2] (b).'
        >>> markdown_links("See [the act][1].\\n\\n[1]: https://example.com/act")
        'See the act.'
    """
    has_definition = "]:" in text
    if not has_definition and "](" not in text and "![" not in text:
        return text
    parts = _text_and_code(text)
    if has_definition:
        parts[::2] = _Definitions(parts[::2], links).resolved()
    target = r"\1" if links == "text" else r"\1 (\2)"

    def plain(part: str) -> str:
        # Images first, because one may occur inside a link.
        if "![" in part:
            part = _IMAGE.sub(_image, part)
            part = _EMPTY_LINK.sub("", _REFERENCED.sub(_referenced, part))
        return _LINK.sub(target, part)

    resolved = "".join(part if place % 2 else plain(part) for place, part in enumerate(parts))
    return resolved.rstrip() if has_definition and resolved != text else resolved


class _Definitions:
    """Link definitions such as ``[1]: https://example.com``, and the references to them.

    Args:
        parts: a text without its code.
        links: keep only the text of a link, or also its target.
    """

    def __init__(self, parts: list[str], links: Links) -> None:
        self._parts = parts
        self._links = links
        self._targets: dict[str, str] = {}
        for part in parts:
            for found in _DEFINITION.finditer(part):
                # The first of several definitions of a label counts.
                self._targets.setdefault(_label(found["label"]), found["angled"] or found["target"] or "")
        self._used: set[str] = set()

    def resolved(self) -> list[str]:
        """The parts with references resolved and definitions removed."""
        if not self._targets:
            return self._parts
        # Images first, because one may occur inside a link. Definitions contain no references.
        parts = [self._outside(part) for part in self._parts]
        return [_DEFINITION.sub(self._dropped, part) for part in parts]

    def _outside(self, part: str) -> str:
        made, place = [], 0
        for found in _DEFINITION.finditer(part):
            made += [self._without_references(part[place : found.start()]), found.group()]
            place = found.end()
        return "".join([*made, self._without_references(part[place:])])

    def _without_references(self, text: str) -> str:
        if "![" in text:
            text = _REFERENCED_IMAGE.sub(self._image, text)
            text = _EMPTY_LINK.sub("", text)
        return _REFERENCED_LINK.sub(self._link, text)

    def _target(self, found: re.Match[str]) -> str | None:
        label = _label(found["label"] or found["text"])
        if label in self._targets:
            self._used.add(label)
        return self._targets.get(label)

    def _image(self, found: re.Match[str]) -> str:
        return found[0] if self._target(found) is None else image_text(found["text"])

    def _link(self, found: re.Match[str]) -> str:
        target = self._target(found)
        if target is None:
            return found[0]
        # "[1]" alone cites a source, so it keeps its brackets.
        text = found[0] if found["label"] is None and found["text"].isdigit() else found["text"]
        return text if self._links == "text" else f"{text} ({target})"

    def _dropped(self, found: re.Match[str]) -> str:
        target = found["angled"] or found["target"] or ""
        is_definition = _label(found["label"]) in self._used or _ADDRESS.match(target)
        return "" if is_definition else found[0]


def _label(text: str) -> str:
    """A label in the form in which labels are compared: case-folded, with single spaces."""
    return " ".join(text.split()).casefold()


def _text_and_code(text: str) -> list[str]:
    """Alternating parts of text and code; the first and the last are text."""
    parts, end = [], 0
    for found in _CODE.finditer(text):
        parts += [text[end : found.start()], found.group()]
        end = found.end()
    return [*parts, text[end:]]


def without_code(text: str) -> str:
    """A text without its code."""
    return "".join(part for part, is_code in split_code(text) if not is_code)


def escape_code(text: str) -> str:
    """A text with the markup in its code escaped, so that an HTML parser does not read it as tags."""
    return "".join(escape_markup(part) if is_code else part for part, is_code in split_code(text))


def split_code(text: str, indented: bool = False) -> Iterator[tuple[str, bool]]:
    """Split a text into parts, each with whether it is code.

    Args:
        text: Markdown.
        indented: whether paragraphs indented by four spaces are also code.
    """
    if "`" not in text and "~~~" not in text and not indented:
        yield text, False
        return
    for place, part in enumerate(_text_and_code(text)):
        if place % 2 or not indented:
            yield part, bool(place % 2)
            continue
        end = 0
        for found in _INDENTED_BLOCK.finditer(part):
            yield part[end : found.start(1)], False
            yield found[1], True
            end = found.end()
        yield part[end:], False


def escape_markup(code: str) -> str:
    """Escape code for use as text in HTML."""
    return code.replace("&", "&amp;").replace("<", "&lt;")


def _image(found: re.Match[str]) -> str:
    return image_text(found[1])


def _referenced(found: re.Match[str]) -> str:
    return found[0] if image_text(found[1]) else ""
