"""Words with the signs that distinguish them: ``C++`` and ``C#``, ``$5`` and ``5%``."""

from __future__ import annotations

import re
import unicodedata

_CURRENCY = "$¢£¤¥€\u20a0-\u20cf\u0e3f"
_PICTURES = "¬√∞∀∃∈∉∪∩⊂⊃∧∨∑∏∂∇\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
# A sign counts if it is attached to a word: dashes, bullets and emphasis do not count. All conditions are
# checked after the sign, so that the search jumps from one sign to the next.
_SIGN = re.compile(
    rf"""
    [-+±~\#%‰°§<>=≤≥≠!.,:/^*×÷&|@{_CURRENCY}{_PICTURES}]
    (?: (?<=[{_PICTURES}])                                              # a picture is a word
      | (?<=[%‰°]) (?: (?<=\w.) | (?<=\w[ ].) )                          # 5 %, 20°
      | (?<=[{_CURRENCY}]) (?: (?=[ ]?[\d.]) | (?<=\w.) | (?<=\w[ ].) )    # $5, 5 €
      | (?<=§) (?=[ ]?\w)                                               # § 5
      | (?<=\#) (?: (?=\w) | (?<=\w.)(?!\w) )                            # #1, C#
      | (?<=[-+±~]) (?<![\w)\]].) (?=[{_CURRENCY}]?\d)                    # -5, but not 3-5
      | (?<=\+) (?<=[\w+].) (?!\w)                                       # C++, 18+
      | (?<=-) (?: (?<=\d.) | (?<=\b[a-z].) ) (?!\w|[ ]?\d)               # 18-, B-
      | (?<=[<>=≤≥≠]) (?: (?<=[\w)].) | (?<=[\w)][ ].) ) =? (?=[ ]?[\w(-])  # a<b, x = y
      | (?<=[.,:/^*×÷]) (?<=\d.) (?=\d)                                 # 1.5, 1,5, 1/2, 2^3
      | (?<=[&|]) (?: (?<=\w.) (?=\w) | (?<=\w[ ].) (?=[ ]\w) )          # R&D, p | q
      | (?<=@) (?<![\w.].) (?=\w)                                       # @home
      | (?<=\.) (?<![\w.].) (?=[^\W\d])                                # .NET
      | (?<=!) (?: (?<=[\w)].) | (?<=[\w)][ ].) ) = (?=[ ]?[\w(-])         # x != y
    )
    """,
    re.VERBOSE,
)
_WORDS = re.compile(r"\w+")
_RAISED = re.compile(r"(?<=\w)[⁰¹²³⁴-⁹]+")


def normalize_signs(text: str) -> str:
    """The words of a text in lower case, with the signs that distinguish words as separate words.

    Example:
        >>> normalize_signs("Is C++ legal?") == normalize_signs("is C++, legal")
        True
        >>> normalize_signs("Is C++ legal?") == normalize_signs("Is C# legal?")
        False
    """
    # NFKC would turn 2² into 22.
    text = _RAISED.sub(r"^\g<0>", text)
    text = unicodedata.normalize("NFKC", text).replace("\u2044", "/").casefold()
    return " ".join(_WORDS.findall(_SIGN.sub(_spelled, text)))


def _spelled(found: re.Match[str]) -> str:
    # No word of a question starts with this letter.
    return "".join(f" \U00013000{ord(sign):x} " for sign in found[0])
