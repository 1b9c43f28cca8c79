"""Markdown: its links and images as their text, and its code left alone."""

from __future__ import annotations

import re
from typing import Literal

Links = Literal["text", "text_and_target"]

# [text](target "title") with one level of brackets in the text and of parentheses in the target.
# The bounds keep the search linear on text made of brackets.
_LABEL = r"\[((?:[^\[\]\n]|\[[^\[\]\n]{0,300}\]){0,600})\]"
_TARGET = r"\(\s{0,9}<?((?:[^()\s<>]|\([^()\s]{0,300}\)){1,2000})>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_IMAGE = re.compile("!" + _LABEL + _TARGET)
_LINK = re.compile(r"(?<!!)" + _LABEL + _TARGET)
_FENCE = re.compile(r"(^```.*?^```[^\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
# An image by reference, whole or within a link, of which only what editors write by themselves is dropped.
_REFERENCED = re.compile(r"!\[([^\[\]\n]{0,300})\](?:\[[^\[\]\n]{0,300}\])?")
_EMPTY_LINK = re.compile(r"(?<!!)\[\s*\](?:\([^()\s]{0,2000}\)|\[[^\[\]\n]{0,300}\])")

# What editors put in the place of a description: https://meta.stackexchange.com/questions/184187, in the
# languages of its sites, and names of files.
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
    """The description of an image, empty where it is only what an editor puts there by itself.

    Example:
        >>> image_text("enter image description here"), image_text("a chart")
        ('', 'a chart')
    """
    told = " ".join(description.split()).strip(" .:[]").casefold()
    return "" if told in _BOILERPLATE or _FILE_NAME.fullmatch(told) else description


def markdown_links(text: str, links: Links = "text") -> str:
    """Turn Markdown links and images into their text, outside of code.

    Example:
        >>> markdown_links("See [the act](https://example.com/act) and [2] (b).")
        'See the act and [2] (b).'
    """
    if "](" not in text and "![" not in text:
        return text
    target = r"\1" if links == "text" else r"\1 (\2)"

    def plain(part: str) -> str:
        # An image may stand inside a link, so it goes first.
        if "![" in part:
            part = _IMAGE.sub(_image, part)
            part = _EMPTY_LINK.sub("", _REFERENCED.sub(_referenced, part))
        return _LINK.sub(target, part)

    # re.split with one group gives text and code in turns.
    return "".join(part if place % 2 else plain(part) for place, part in enumerate(_FENCE.split(text)))


def without_code(text: str, indented: bool = False) -> str:
    """A text without the code in it.

    Args:
        text: Markdown.
        indented: whether lines that begin with four spaces are code, too.
    """
    if "`" in text:
        text = _FENCE.sub("", text)
    return _INDENTED.sub("", text) if indented else text


def escape_code(text: str) -> str:
    """A text in which tags that code quotes are no tags for a reader of HTML."""
    if "`" not in text:
        return text
    return "".join(
        part.replace("&", "&amp;").replace("<", "&lt;") if place % 2 else part
        for place, part in enumerate(_FENCE.split(text))
    )


def _image(found: re.Match[str]) -> str:
    return image_text(found[1])


def _referenced(found: re.Match[str]) -> str:
    return found[0] if image_text(found[1]) else ""
