"""Split texts in any script into words.

Whitespace separates words. In scripts without spaces, each Chinese character, Hiragana letter and Bopomofo
letter is a word, as in word processors and in Unicode's text segmentation (UAX #29), and so is each run of
Katakana. Thai, Lao, Khmer, Burmese and Tibetan would need a dictionary; they are split after every three
letters with their marks, slightly less than the average length of their words.
"""

from __future__ import annotations

import re

_IDEOGRAPHS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u3096\u309d-\u309f\u3105-\u312f\u31a0-\u31bf"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
# Letters, and the marks on, under or around them (including the vowel signs of Khmer and Burmese).
_LETTERS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf"
    "\u0f00\u0f40-\u0f6c\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3\u19e0-\u19ff"
)
_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u0f90-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u17dd\u200c\u200d"
)
_LETTER = rf"[{_LETTERS}](?:\u17d2[{_LETTERS}]|[{_MARKS}])*"
_UNSPACED = re.compile(f"[{_IDEOGRAPHS}{_KATAKANA}{_LETTERS}]")
_SEGMENT = re.compile(
    rf"[{_IDEOGRAPHS}]|[{_KATAKANA}]+|(?:{_LETTER}){{1,3}}|[^\s{_IDEOGRAPHS}{_KATAKANA}{_LETTERS}]+"
)
_LETTER_OR_DIGIT = re.compile(r"\w")


def words_of(text: str) -> list[str]:
    """The words of a text, as described above.

    Example:
        >>> words_of("keep the deposit"), words_of("押金 ok")
        (['keep', 'the', 'deposit'], ['押', '金', 'ok'])
    """
    if text.isascii() or not _UNSPACED.search(text):
        return text.split()
    found: list[str] = []
    for word in text.split():
        if _UNSPACED.search(word):
            # In these scripts, signs are not separate words.
            found += filter(_LETTER_OR_DIGIT.search, _SEGMENT.findall(word))
        else:
            found.append(word)
    return found
