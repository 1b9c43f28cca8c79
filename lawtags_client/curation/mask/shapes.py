"""Patterns for names: their letters, the joints within a word, and the particles between words.

A name is masked whole or not at all. Its letters belong to any alphabet with two cases, including their
marks. A capital may occur anywhere in a word ("McIlroy", "N'Golo"). A possessive is not part of the name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

# All alphabets with two cases lie below the first of these, or between the others.
_BLOCKS = (range(0x41, 0x2000), range(0x2C00, 0x2E00), range(0xA640, 0xA800), range(0xAB30, 0xAB70))
APOSTROPHES = "'’ʼʻ‘"
HYPHENS = r"\-‐‑"  # inside a class of a pattern


def _letters(categories: str) -> str:
    """The code points of some Unicode categories, for use inside a character class."""
    chosen = categories.split()
    ranges: list[list[int]] = []
    for block in _BLOCKS:
        for point in block:
            if unicodedata.category(chr(point)) not in chosen or chr(point) in APOSTROPHES:
                continue
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" if first < last else chr(first) for first, last in ranges)


CAPITALS = _letters("Lu Lt")
# Marks stand alone where no letter has them built in, as in "Adébáyọ̀".
SMALL = _letters("Ll Lm Lo Mn Mc")
# Not the two one after the other: together they make fewer ranges, of which patterns are compiled sooner.
_ANY = _letters("Lu Lt Ll Lm Lo Mn Mc")
UPPER = f"[{CAPITALS}]"
LETTER = f"[{_ANY}]"
# "It's", "I'm", "can't": what an apostrophe parts from a word that is not a name, or from a possessive one.
_CLITIC = rf"(?:[sS]|[tT]|[mM]|[dD]|re|ve|ll)(?!{LETTER})"
# A name has at least one lower-case letter; otherwise, every abbreviation would be one.
# "DeBruyn" is also written "deBruyn".
SMALL_PREFIX = rf"(?:(?:van|vander|vande|von|de|der|den|del|di|du|da|la|le|mc|mac|fitz)(?={UPPER}))"
NAME_WORD = re.compile(
    rf"(?<!{LETTER}){SMALL_PREFIX}?(?!I[{APOSTROPHES}])(?=[{CAPITALS}{APOSTROPHES}{HYPHENS}]*+[{SMALL}])"
    rf"{UPPER}{LETTER}*+(?:[{HYPHENS}]{LETTER}++|[{APOSTROPHES}](?!{_CLITIC}){LETTER}++)*+"
    rf"(?![{APOSTROPHES}](?:[tT]|[mM]|[dD]|re|ve|ll)(?!{LETTER}))(?![.](?:js|py|com|net|org|io)\b)"
)
WORD = NAME_WORD.pattern
INITIAL = rf"{UPPER}\. ?"

PARTICLES = (
    "van|von|vom|zum|zur|zu|und zu|der|den|de|da|di|do|du|del|dela|della|delle|dello|degli|dei|dal|dalla|dos|"
    "das|des|la|le|las|los|les|el|al|bin|bint|ibn|abu|umm|ter|ten|te|op|ap|mac|ó|ní|nic|uí|af|av|y"
)
# Prefixes that belong to a word of a name: "van der", "al-", "d'", "'t", "St.", "Ó".
PARTICLE = (
    rf"(?:(?:{PARTICLES})(?: |[{HYPHENS}])|(?:as|ash|ad|an|ar|at|az|ul|ur)[{HYPHENS}](?={UPPER})"
    rf"|[dlDL][{APOSTROPHES}](?={UPPER})|[{APOSTROPHES}]t |Ste?\.? |Ó |Ò )"
)
NAME = (
    rf"(?>(?:{INITIAL}){{0,3}}{PARTICLE}{{0,3}}{WORD}"
    rf"(?: (?:{INITIAL}){{0,2}}{PARTICLE}{{0,3}}{WORD}){{0,2}})"
)
# Particles are evidence between two capitals, but "do", "ten" and "op" are words of English, too.
_GOES_ON = re.compile(
    rf"(?: (?:{INITIAL})?(?!do |te |op |ten ){PARTICLE}{{1,3}}{WORD}|[{HYPHENS}]{PARTICLE}{{0,2}}{WORD})+"
)
_BEFORE = re.compile(
    rf"(?<![{_ANY}\d{HYPHENS}{APOSTROPHES}.])(?:(?!do |y |te |op |ten |und zu ){PARTICLE}){{1,3}}\Z"
)
_JOINTS = f"{APOSTROPHES}-‐‑"
_FIRST_PART = re.compile(rf"{LETTER}+")
_LAST_PART = re.compile(rf"{LETTER}+\Z")
_IS_CLITIC = re.compile(_CLITIC)
_POSSESSIVE = re.compile(rf"[{APOSTROPHES}](?:[sS](?!{LETTER}))?\Z")
_DETERMINED = re.compile(r"\b(?:an?|the|my|our|his|her|your|their) \Z", re.IGNORECASE)
_HAS_LETTER = re.compile(LETTER)
_LONGEST = 40


def without_possessive(text: str, start: int, end: int) -> int:
    """The end of a name without "'s" or the apostrophe of a possessive.

    Args:
        text: the text that contains the name.
        start: index of its first character.
        end: index after its last character.
    """
    found = _POSSESSIVE.search(text, start, end)
    return found.start() if found else end


def whole_name(text: str, start: int, end: int, is_word: Callable[[str], bool]) -> tuple[int, int]:
    """Extend a known part of a name to the whole name: whole words, with particles and the words after them.

    Args:
        text: the text that contains the name.
        start: index of the first character of the known part.
        end: index after its last character.
        is_word: whether a lower-case word is in the dictionary; such words may be joined to a name by a
            hyphen, as in "Smith-like", and are not part of it.

    Returns:
        The start and end of the whole name.
    """
    start = _word_start(text, start, is_word)
    end = without_possessive(text, start, _word_end(text, end, is_word))
    if further := _GOES_ON.match(text, end):
        end = further.end()
    first = max(0, start - _LONGEST)
    if before := _BEFORE.search(text[first:start]):
        begin = first + before.start()
        # "A van Smith owned" is a car.
        if not _DETERMINED.search(text[max(0, begin - 8) : begin]):
            start = begin
    return start, end


def _word_start(text: str, start: int, is_word: Callable[[str], bool]) -> int:
    while start > 0:
        if _HAS_LETTER.match(text, start - 1):
            start -= 1
            continue
        if start < 2 or text[start - 1] not in _JOINTS or not _HAS_LETTER.match(text, start):
            break
        lead = _LAST_PART.search(text[max(0, start - 1 - _LONGEST) : start - 1])
        # "anti-Smith" and "ex-Kowalski" have a word before the name.
        if not lead or not (lead.group()[0].isupper() or _is_lead(lead.group(), is_word)):
            break
        start -= 1
    return start


def _is_lead(part: str, is_word: Callable[[str], bool]) -> bool:
    return not is_word(part) and part not in ("ex", "non", "anti", "pre", "post", "pro")


def _word_end(text: str, end: int, is_word: Callable[[str], bool]) -> int:
    while end < len(text):
        if _HAS_LETTER.match(text, end):
            end += 1
        elif _joins(text, end, is_word):
            end += 2
        else:
            break
    return end


def _joins(text: str, place: int, is_word: Callable[[str], bool]) -> bool:
    if place + 1 >= len(text) or not _HAS_LETTER.match(text, place + 1) or not place:
        return False
    if not _HAS_LETTER.match(text, place - 1):
        return False
    if text[place] in APOSTROPHES:
        return _IS_CLITIC.match(text, place + 1) is None
    if text[place] not in _JOINTS:
        return False
    part = _FIRST_PART.match(text, place + 1)
    return part is not None and (part.group()[0].isupper() or not is_word(part.group()))
