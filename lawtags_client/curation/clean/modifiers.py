"""Repair wrongly decoded characters, and clean up whitespace."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from lawtags_client.curation.clean.citations import format_citations
from lawtags_client.curation.clean.invisible import without_invisible
from lawtags_client.curation.series import map_texts
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

# Line ends other than LF; U+2028 and U+2029 come from word processors.
_LINE_ENDS = re.compile(r"\r\n?|[\u0085\u2028\u2029\v\f]")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\t]")
_TRAILING = re.compile(r" +(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n{3,}")
# Notices that moderators append to titles.
_CLOSED = re.compile(r"\s*\[(?:closed|duplicate|on hold|migrated|locked)\]\s*$", re.IGNORECASE)
_RUNS = re.compile(r"(?<=\S) {2,}(?=\S)")
_FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)


@lru_cache(maxsize=1)
def _fixer() -> Callable[[str], str]:
    try:
        import ftfy
    except ImportError as error:
        raise MissingExtraError("ftfy", "curate", "repairing text") from error
    # Curly quotes, ligatures and wide characters are not errors, and line ends are cleaned elsewhere.
    config = ftfy.TextFixerConfig(
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        fix_line_breaks=False,
        normalization=None,
        explain=False,
    )
    return lambda text: ftfy.fix_text(text, config=config)


def repair_text(text: str) -> str:
    """Repair text that was decoded with the wrong character set, and decode leftover HTML entities.

    Raises:
        MissingExtraError: ftfy is not installed.

    Example:
        >>> repair_text("the landlordâ€™s Â§ 5")
        'the landlord’s § 5'
    """
    # ASCII without entities or escapes cannot contain these errors, and most text is ASCII.
    if text.isascii() and "&" not in text and "\x1b" not in text:
        return text
    fixed: str = _fixer()(text)
    return fixed


def clean_text(text: str) -> str:
    """Clean up whitespace: one kind of line end and space, no invisible characters, no runs of blank lines.

    Fenced code keeps its spaces.
    """
    text = _SPACES.sub(" ", without_invisible(_LINE_ENDS.sub("\n", text)))
    if "  " in text:
        text = "".join(
            part if place % 2 else _RUNS.sub(" ", part) for place, part in enumerate(_FENCE.split(text))
        )
    if " \n" in text or text.endswith(" "):
        text = _TRAILING.sub("", text)
    if ">" in text:
        text = "\n".join(_drop_empty_quotes(text.split("\n")))
    return _BLANK_LINES.sub("\n\n", text).strip()


def clean_title(title: str) -> str:
    """Clean up a title: one line, without moderator notices.

    Example:
        >>> clean_title(" Is this\\nlegal?  [closed]")
        'Is this legal?'
    """
    title = without_invisible(_LINE_ENDS.sub("\n", title))
    return _CLOSED.sub("", " ".join(title.split()))


def repair_texts(texts: pd.Series) -> pd.Series:
    """The batch form of :func:`repair_text`."""
    return map_texts(texts, repair_text)


def clean_texts(texts: pd.Series) -> pd.Series:
    """The batch form of :func:`clean_text`."""
    return map_texts(texts, clean_text)


def clean_titles(texts: pd.Series) -> pd.Series:
    """The batch form of :func:`clean_title`."""
    return map_texts(texts, clean_title)


def format_sections(texts: pd.Series) -> pd.Series:
    """The batch form of :func:`lawtags_client.curation.clean.citations.format_citations`."""
    return map_texts(texts, format_citations)


def _drop_empty_quotes(lines: list[str]) -> list[str]:
    # Quotes often start and end with bare marks; one is enough between paragraphs.
    kept: list[str] = []
    for place, line in enumerate(lines):
        if line == ">":
            opens = not kept or not kept[-1].startswith(">")
            follower = next((later for later in lines[place + 1 :] if later != ">"), "")
            if opens or kept[-1] == ">" or not follower.startswith(">"):
                continue
        kept.append(line)
    return kept
