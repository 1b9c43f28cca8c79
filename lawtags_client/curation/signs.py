"""The words of a text with the signs that make others of them: ``C++`` and ``C#``, ``$5`` and ``5%``."""

from __future__ import annotations

import re
import unicodedata

_CURRENCY = "$¢£¤¥€\u20a0-\u20cf\u0e3f"
_PICTURES = "\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
# A sign counts where it stands at a word, not between words: dashes, bullets and emphasis say nothing.
_WORD = re.compile(
    rf"""
    (?: (?<![\w)\]])[-+±~] (?=[{_CURRENCY}]?\d) )?              # -5, but not 3-5
    (?: [{_CURRENCY}]\s? (?=[\d.]) | §\s? (?=\w) | \#(?=\w) )?    # $5, § 5, #1
    \w+
    (?: \+{{1,2}}(?!\w) | \#(?!\w) | \s?[%‰°{_CURRENCY}](?!\w)     # C++, C#, 18+, 5 %, 20°, 5 €
      | (?:(?<=\d)|(?<=\b[a-z]))-(?!\w|\s?\d) )?                # 18-, B-
    | [{_PICTURES}]                                            # a picture is a word
    | (?<=[\w)])\s?(?:[<>=≤≥≠]=?|!=)\s?(?=[\w(-])               # a<b, x != y
    """,
    re.VERBOSE,
)
# Whether there is any of these; most texts have none, and are through sooner.
_SIGNS = re.compile(
    rf"[%‰°{_CURRENCY}{_PICTURES}]|[§#]\s?\w|\w[+#]|\d-|\b[a-z]-(?!\w)|(?<![\w)\]])[-+±~]\d"
    r"|[\w)]\s?(?:[<>=≤≥≠]|!=)\s?[\w(-]"
)
_WORDS = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


def normalize_signs(text: str) -> str:
    """The words of a text in lower case, each with the signs that tell it from others, and no other signs.

    Example:
        >>> normalize_signs("Is C++ (or C#) worth $5, or 5 %?")
        'is c++ or c# worth $5 or 5%'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if not _SIGNS.search(text):
        return " ".join(_WORDS.findall(text))
    return " ".join(_SPACE.sub("", found) for found in _WORD.findall(text))
