"""Capitalize words that may be names in texts that are all lower or upper case.

Models and cues recognize names by their capitals. "my landlord greta lindqvist" and "MY EX DARNELL FOOTE TOOK
IT" get capitals here, letter for letter, so that positions in the text do not change. A word in no English
dictionary may be a name; the model decides about the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lawtags_client.curation.mask.allowed import find_shouted_cases
from lawtags_client.curation.mask.cues import RELATIVES, address_tells
from lawtags_client.curation.mask.english_words import EnglishWords, looks_made
from lawtags_client.curation.mask.shapes import (
    APOSTROPHES,
    HYPHENS,
    LETTER,
    PARTICLES,
    SMALL,
    SMALL_PREFIX,
    UPPER,
)
from lawtags_client.curation.mask.small_names import is_first_name, reads_as_first_name, reads_as_last_name

_CAPITAL_WORD = rf"{UPPER}++(?:[{APOSTROPHES}{HYPHENS}]{UPPER}++)*+(?!{LETTER})"
_SHOUTED = re.compile(
    rf"(?<!{LETTER})(?<![{APOSTROPHES}{HYPHENS}_./@\d]){_CAPITAL_WORD}(?:\.? {_CAPITAL_WORD})++(?![_/@\d])"
)
_PREFIXED = re.compile(rf"(?!o.clock)[odn][{APOSTROPHES}]{LETTER}{{3}}")
_CLITIC = re.compile(rf"[{APOSTROPHES}](?:m|d|ll|ve|re|t)$")
_THREE_CAPITALS = re.compile(rf"{UPPER}{{3}}")
_ANY_WORD = re.compile(rf"{LETTER}++(?:[{APOSTROPHES}{HYPHENS}]{LETTER}++)*+")
_INNER_CAPITAL = re.compile(rf"{SMALL_PREFIX}{UPPER}{LETTER}*[{SMALL}]")
_VOWEL = re.compile(r"[aeiouyà-åæè-ïò-öøù-ýāăąēĕėęěĩīĭįıōŏőœũūŭůűųươ]")
_PARTICLES = frozenset(PARTICLES.split("|"))
_MOST = 4

# A name follows these, whether or not it is in a dictionary.
_SURE_TITLES = "mr|mrs|mme|mlle|mister"
_TITLES = (
    r"ms|dr|prof|(?:mx|sgt|lt|capt|cpl|cmdr|det|insp|supt|col|maj|hr|sra|srta|revd?)(?=\.)|"
    "frau|herrn?|señora?|señorita|monsieur|madame"
)
_OFFICES = (
    "professor|doctor|reverend|chaplain|vicar|captain|colonel|corporal|officer|sergeant|lieutenant|detective|"
    "deputy|inspector|constable|trooper|nurse|attorney|pastor|rabbi|imam|aunt|uncle"
)
_CUE = re.compile(
    rf"(?<![\w-])(?:(?P<sure>(?:{_SURE_TITLES})\.? )"
    rf"|(?<!\d )(?P<title>(?:{_TITLES})\.? |(?<!the )(?<!an )(?<!a )(?<!my )(?:{_OFFICES}) )"
    rf"|(?P<kin>(?:my|our|his|her|their|your) (?:[a-z]+(?:['’]s)? )?(?:{RELATIVES}),? )"
    r"|(?P<introduced>my (?:full )?name is |i am called |signed by |"
    r"(?:man|woman|guy|person|lady|girl|boy|someone|somebody) (?:named|called) )"
    r"|(?P<greeted>(?:dear|hello|hi|hey),? )"
    r"|(?P<closed>(?:regards|sincerely|cheers|thanks|thank you|yours(?: truly)?|best(?: wishes)?)"
    r"[,!.]?\s+[-–—]?\s?)"
    r"|(?P<self>(?:i['’]?m|i am|this is) ))"
)
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.\w")
_TO_ADDRESS = re.compile(r" ?(?:[-–—|:] ?[<(\[]?|[<(\[])\Z")
# Not the "ms." of "use ms. word".
_FORMAL_TITLE = re.compile(r"(?<!\w)[A-Z][a-z]{1,3}\. \Z")
# Follows a last name: "Ms. bell hooks is", but not "Ms. bell left".
_SUBJECT_ENDS = re.compile(
    rf"[{APOSTROPHES}]s\b|,? (?:is|was|has|had|will|would|did|does|can|could|should|who|whom|whose)\b"
)
_LAST_WORD = re.compile(rf"({LETTER}++(?:[{APOSTROPHES}{HYPHENS}]{LETTER}++)*+)(,? )?\Z")
_LOOK_BACK = 80
_AFTER_GREETING = re.compile(r"[,!.:;\n]|$")
_GREETING_BEFORE = re.compile(r"(?:^|\n)\s*(?:[Hh]i|[Hh]ello|[Hh]ey)(?: all| there| everyone)?[,.!]? $")
_AFTER_CLOSING = re.compile(r"\.?\s*\Z|\.?\s*\n")


@dataclass
class Recased:
    """A text with capitals where names may occur, of the same length.

    Args:
        text: the text.
        doubtful: spans of words that were capitalized but may not be names.
    """

    text: str
    doubtful: set[tuple[int, int]] = field(default_factory=set)


def recase(text: str, words: EnglishWords) -> Recased:
    """Capitalize words that may be names.

    Args:
        text: the text in composed form.
        words: the dictionary.
    """
    if words.is_empty:
        return Recased(text)
    signs: list[str] | None = None
    if _THREE_CAPITALS.search(text):
        signs = list(text)
        for found in _SHOUTED.finditer(text):
            _calm(found, signs, words)
        text = "".join(signs)
    changes = _Changes(text, words)
    for cue in _CUE.finditer(_lower(text)):
        changes.follow(cue)
    for address in _ADDRESS.finditer(text) if "@" in text else ():
        changes.look_before(address.start())
    return Recased(changes.result(), changes.doubtful)


def _lower(text: str) -> str:
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)


def _capitalised(word: str) -> str:
    """A word with capitals at its start and after each joint, except that of the possessive."""
    result = []
    place = 0
    for found in re.finditer(rf"{LETTER}+", word):
        part = _lower(found.group())
        upper = part[0].upper()
        is_clitic = found.start() > 0 and word[found.start() - 1] in APOSTROPHES and part in ("s", "t")
        if len(upper) == 1 and not is_clitic:
            part = upper + part[1:]
        result += [word[place : found.start()], part]
        place = found.end()
    return "".join(result) + word[place:]


def _bare(word: str) -> str:
    """A word in lower case without its possessive."""
    return re.sub(rf"[{APOSTROPHES}]s?$", "", _lower(word))


def _calm(found: re.Match[str], signs: list[str], words: EnglishWords) -> None:
    """Rewrite a run of capitals in sentence case."""
    # The name of a case stays as it is.
    cases = tuple(find_shouted_cases(found.group()))
    run = [
        (one.start() + found.start(), one.group())
        for one in _ANY_WORD.finditer(found.group())
        if not any(begin <= one.start() < end for begin, end in cases)
    ]
    bare = [_bare(word) for _, word in run]
    unknown = [
        len(word) > 3 and _VOWEL.search(word) is not None and not words.knows(word) and not looks_made(word)
        for word in bare
    ]
    is_sentence = len(run) > 3 or any(words.is_function(word) for word in bare)
    if not is_sentence and not _is_name_like(bare, unknown):
        return
    for place, ((start, word), is_unknown) in enumerate(zip(run, unknown, strict=True)):
        if is_unknown or not is_sentence:
            is_particle = bare[place] in _PARTICLES and place + 1 < len(run)
            new = _lower(word) if is_particle else _capitalised(word)
        elif len(word) == 1 and "".join(signs[start + 1 : start + 2]) == ".":
            # An initial, as in "VICTOR V. CHEN".
            continue
        elif words.knows(bare[place]) or bare[place] in _PARTICLES:
            new = word if word == "I" else _lower(word)
        else:
            continue
        if len(new) == len(word):
            signs[start : start + len(word)] = new


def _is_name_like(bare: list[str], unknown: list[bool]) -> bool:
    # Two words without a cue: "MAUD OKORO", but not "HP ELITEBOOK" or "JSON API".
    long = [word for word in bare if word not in _PARTICLES]
    return any(unknown) and all(_VOWEL.search(word) and len(word) > 3 for word in long)


class _Changes:
    """Capitalizes the words after the cues of a text."""

    def __init__(self, text: str, words: EnglishWords) -> None:
        self._text = text
        self._words = words
        self._signs: list[str] | None = None
        self.doubtful: set[tuple[int, int]] = set()

    def result(self) -> str:
        return self._text if self._signs is None else "".join(self._signs)

    def follow(self, cue: re.Match[str]) -> None:
        """Capitalize the words after a cue if they may be names."""
        kind = str(cue.lastgroup)
        chosen = list(self._candidates(cue.end(), kind))
        if not chosen:
            self._follow_title(cue, kind)
            return
        end = chosen[-1][1]
        if kind == "greeted" and not _AFTER_GREETING.match(self._text, end):
            return
        if kind == "self" and len(chosen) < 2 and not _GREETING_BEFORE.search(self._text, 0, cue.start()):
            return
        if kind == "closed" and not _AFTER_CLOSING.match(self._text, end):
            return
        for start, stop, is_sure in chosen:
            self._write(start, stop)
            if kind == "self" or not is_sure:
                self.doubtful.add((start, stop))
        if kind in ("sure", "title"):
            self._write_title(cue)

    def _follow_title(self, cue: re.Match[str], kind: str) -> None:
        """Capitalize a lower-case title before a capitalized name, as in "mr. Smith"."""
        found = _ANY_WORD.match(self._text, cue.end())
        if kind not in ("sure", "title") or not found or not found.group()[0].isupper():
            return
        # In "ms Word", "ms" is not a title.
        if kind == "sure" or "." in cue.group() or not self._words.knows(_bare(found.group())):
            self._write_title(cue)

    def _write_title(self, cue: re.Match[str]) -> None:
        is_large = self._text[cue.start() : cue.end()].isupper()
        self._write(cue.start(), cue.end(), only_first=not is_large)

    def look_before(self, address: int) -> None:
        """Check the two or three words before an email address: "jones, alice - a@…"."""
        first = max(0, address - _LOOK_BACK)
        joint = _TO_ADDRESS.search(self._text[first:address])
        if not joint:
            return
        end = first + joint.start()
        chosen: list[tuple[int, int]] = []
        is_unknown = False
        while len(chosen) < 3 and (found := _LAST_WORD.search(self._text[first:end])):
            word, gap = found.groups()
            bare = _lower(word)
            if bool(gap) != bool(chosen) or self._words.is_function(bare) or _VOWEL.search(bare) is None:
                break
            is_new = not self._words.knows(bare) and not looks_made(bare)
            if not (is_new or self._words.is_only_noun(bare)):
                break
            is_unknown |= is_new and len(bare) > 2
            chosen.append((first + found.start(), first + found.end(1)))
            end = first + found.start()
            if gap and "," in gap:
                break
        local = _lower(self._text[address : self._text.index("@", address)])
        names = [_lower(self._text[start:stop]) for start, stop in chosen]
        if len(chosen) > 1 and (is_unknown or address_tells(local, names)):
            for start, stop in chosen:
                self._write(start, stop)

    def _candidates(self, place: int, kind: str) -> Iterator[tuple[int, int, bool]]:
        """The words after a cue that may be names, and whether each very likely is one."""
        number = 0
        while number < _MOST and (found := _ANY_WORD.match(self._text, place)):
            word, bare = found.group(), _bare(found.group())
            place = found.end() + 1
            if len(word) == 1 and word.isupper() and self._text.startswith(". ", found.end()):
                place = found.end() + 2
                continue
            goes_on = self._text[found.end() : place] == " "
            if bare in _PARTICLES and goes_on:
                continue
            if self._words.is_function(_CLITIC.sub("", bare)):
                return
            is_small = word[0] == _lower(word[0]) and word[0] != word[0].upper()
            is_large = len(word) > 1 and word.isupper()
            if is_small or is_large:
                verdict = self._verdict(found, bare, is_large, kind, number)
                if verdict is None:
                    return
                yield found.start(), found.end(), verdict
            elif not number and kind not in ("kin", "sure", "title"):
                return
            number += 1
            if not goes_on or len(bare) < len(word):
                return

    def _verdict(
        self, found: re.Match[str], bare: str, is_large: bool, kind: str, number: int
    ) -> bool | None:
        """Whether a word is very likely a name; None if it is not a name."""
        is_titled = kind == "sure" or (
            kind == "title" and _FORMAL_TITLE.search(self._text[max(0, found.start() - 7) : found.start()])
        )
        is_last = _SUBJECT_ENDS.match(self._text, found.start() + len(bare)) is not None
        if number and kind in ("sure", "title") and not is_large and is_last:
            return True
        # Dictionaries contain some famous names: "o'connor".
        if (is_titled and not number) or _PREFIXED.match(bare) or _INNER_CAPITAL.match(found.group()):
            return True
        if not is_large and self._reads_as_name(bare, found.start() + len(bare), kind, number):
            return True
        if not self._words.knows(bare):
            if is_large and len(bare) < 4 and kind not in ("sure", "title"):
                return None
            if len(bare) < 3 or not _VOWEL.search(bare):
                return None if number else False
            return not looks_made(bare)
        return False if self._words.is_only_noun(bare) else None

    def _reads_as_name(self, bare: str, end: int, kind: str, number: int) -> bool:
        if number:
            return reads_as_last_name(self._text, bare, end, self._words)
        if is_first_name(bare):
            return True
        return kind in ("kin", "introduced") and reads_as_first_name(self._text, bare, end, self._words)

    def _write(self, start: int, stop: int, *, only_first: bool = False) -> None:
        word = self._text[start:stop]
        only_first = only_first or _INNER_CAPITAL.match(word) is not None
        new = word[:1].upper() + word[1:] if only_first else _capitalised(word)
        if len(new) != len(word) or new == word:
            return
        if self._signs is None:
            self._signs = list(self._text)
        self._signs[start:stop] = new
