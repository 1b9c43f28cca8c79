"""Remove invisible characters, except joiners that have an effect.

A zero-width joiner combines emoji, and both joiners shape letters of Arabic and Indic scripts, so a Persian
word needs them. Joiners stay there and are removed everywhere else, like all other characters without shape
and width. UAX #31 says where joiners have an effect.
"""

from __future__ import annotations

import re

_JOINERS = "\u200c\u200d"
_OTHERS = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a"
)
# Letters and marks of the scripts in which joiners shape words: Arabic, Syriac, Thaana, N'Ko, the Indic ones,
# Tibetan, Burmese, Khmer and Mongolian.
_SHAPED = (
    "\u0600-\u0603\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff"
    "\u0700-\u070d\u070f-\u08ff\u0900-\u0963\u0970-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17df\u1820-\u18aa"
    "\ua8e0-\ua8ff\ufb50-\ufdff\ufe70-\ufefc"
)
# Signs that remove a letter's vowel; a joiner after one shapes the letter before it.
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u1039\u103a\u17d2"
_PICTURE = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"  # includes letters, which joiners never join
_MODIFIER = "\ufe0f\u20e3\U0001f3fb-\U0001f3ff"
_JOINING = (
    rf"(?<=[{_SHAPED}])[{_JOINERS}](?=[{_JOINERS}]*[{_SHAPED}])"
    rf"|(?<=[{_VIRAMAS}])[{_JOINERS}]"
    rf"|(?<=[{_PICTURE}{_MODIFIER}])\u200d(?=[{_PICTURE}])"
    # An Arabic abbreviation may end in a joiner: "ه‍".
    rf"|(?<=[\u0620-\u06ff])\u200d"
)
# Flags of regions consist of characters that are otherwise invisible.
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]{1,32}\U000e007f"
_INVISIBLE = re.compile(rf"({_FLAG}|{_JOINING})|[{_OTHERS}{_JOINERS}\U000e0000-\U000e0fff]")
_SUSPECT = re.compile(rf"[{_OTHERS}{_JOINERS}\U000e0000-\U000e0fff]")


def without_invisible(text: str) -> str:
    """Remove invisible characters from a text, except joiners that have an effect.

    Example:
        >>> without_invisible("de\\u00adposit\\u200d"), without_invisible("\\U0001f468\\u200d\\U0001f467")
        ('deposit', '👨\\u200d👧')
    """
    if not _SUSPECT.search(text):
        return text
    return _INVISIBLE.sub(lambda found: found[1] or "", text)
