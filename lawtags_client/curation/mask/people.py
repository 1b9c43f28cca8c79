"""Decide which names proposed by a model or a cue belong to private people, and find each whole name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lawtags_client.curation.mask.allowed import AllowList, is_ambiguous
from lawtags_client.curation.mask.candidates import NO_NAME
from lawtags_client.curation.mask.case import Recased
from lawtags_client.curation.mask.cues import (
    PERSONAL_TITLE_BEFORE,
    RELATED_BEFORE,
    TITLE_BEFORE,
    address_tells,
    find_cued,
    find_doubtful_people,
    find_labeled,
    find_weakly_cued,
    is_common_noun,
    is_company,
    is_reference,
    is_title,
)
from lawtags_client.curation.mask.english_words import EnglishWords
from lawtags_client.curation.mask.findings import Finding, is_free
from lawtags_client.curation.mask.shapes import LETTER, NAME_WORD, PARTICLES, whole_name

_PARTICLES = frozenset(PARTICLES.split("|"))
_BEFORE_NOUN = re.compile(r"\b(?:an?|the|my|your|our|this|that|each|its|no) (?:[a-z]+ )?\Z")
_NOUN_END = re.compile(r"s?\b")
_TWO_LETTERS = re.compile(rf"{LETTER}{{2}}")
# "Node.js" and "Booking.com" are things, and so is the rest of a finding that contains them.
_POSSESSIVE = re.compile(r"['’]s?\b")
_DOTTED = re.compile(r"\w\.(?:js|ts|py|com|net|org|io|ai|exe|dll|pdf|md)\b")
_PLACE_PREFIX = re.compile(
    r"(?:San|Santa|Santo|Saint|St\.?|Ste\.?|Fort|Ft\.|Port|Mount|Mt\.|Los|Las|El|Den|Bad|New|Rio) "
    r"[^\W\d_][\w'’-]*"
)
# Other capitals within a word make it a thing, which a model may well take for a person: "WeServe".
_INNER_CAPITAL = re.compile(r"(?:Mc|Mac|O['’]|[DLN]['’]|De|Di|Da|Du|La|Le|Van|Fitz)[^\W\d_]")
_WORD_BEFORE = re.compile(rf"(?<![.!?:\n\"“(] )(?<![\n\"“(])(?P<word>{NAME_WORD.pattern}) \Z")
_WORD_BEHIND = re.compile(rf" (?P<word>{NAME_WORD.pattern})")
_LOOK_BACK = 40
# One word alone is often a thing or a people here: "I'm German", "the driver Pololu".
_NEEDS_TWO = re.compile(r"(?:I['’]?m|I am|[Tt]his is|[Tt]he (?:[a-z]+ )?[a-z-]+,?) \Z")


class People:
    """Finds the names of private people in a document.

    Args:
        allow: names and words that are never masked.
        words: the dictionary.
    """

    def __init__(self, allow: AllowList, words: EnglishWords) -> None:
        self._allow = allow
        self._words = words

    def find(
        self, document: Recased, names: Sequence[Finding], taken: Sequence[Finding]
    ) -> Iterator[Finding]:
        """The whole names of people that a model or a cue finds.

        Args:
            document: the text, with possible names capitalized.
            names: everything that the model found, of any kind.
            taken: the findings of patterns.
        """
        text = document.text
        seen = [name for name in names if name.entity == "PERSON"]
        doubtful = [name for name in names if name.entity not in ("PERSON", "LOC", "LOCATION")]
        cued = list(self._cued(document, seen, doubtful))
        addresses = [one for one in taken if one.entity in ("EMAIL_ADDRESS", "PHONE_NUMBER")]
        # A first name that the model does not know may look like a people to it.
        others = [one for one in doubtful if one.entity != "NORP"]
        things = [one for one in doubtful if one.entity in ("ORG", "PRODUCT", "WORK_OF_ART")]
        labeled = [one for one in find_labeled(text) if is_free(one, cued)]
        cued += [one for one in labeled if self._is_labeled_person(text, one, things)]
        cued += [
            one
            for one in find_weakly_cued(text, addresses)
            if is_free(one, cued if ", " in text[one.start : one.end] else (*cued, *others))
            and self._is_likely(text, one, addresses)
        ]
        plausible = [one for one in self._plausible(text, seen) if is_free(one, cued)]
        for one in (*cued, *plausible):
            yield self._whole(text, one, doubtful)

    def _cued(
        self, document: Recased, seen: Sequence[Finding], doubtful: Sequence[Finding]
    ) -> Iterator[Finding]:
        text = document.text
        for one in (*find_cued(text, doubtful), *find_doubtful_people(text, doubtful)):
            sure = self._without_doubtful(document, one, seen) if document.doubtful else one
            if sure and not self._is_nobody(text, sure, doubtful):
                yield sure

    def _is_nobody(self, text: str, one: Finding, doubtful: Sequence[Finding]) -> bool:
        value = text[one.start : one.end]
        # "My therapist, Dr. Okoye": a title is not a name.
        first = max(0, one.start - _LOOK_BACK)
        personal = PERSONAL_TITLE_BEFORE.search(text, first, one.start) or (
            RELATED_BEFORE.search(text, first, one.start) and not _POSSESSIVE.match(text, one.end)
        )
        allows = self._allow.allows_titled if personal else self._allow.allows_cued
        if allows(value) or is_title(value) or TITLE_BEFORE.match(text, one.start):
            return True
        # "Kind regards, Customer Care"
        words = value.lower().split()
        offices = [other for other in doubtful if other.entity == "ORG"]
        return len(words) > 1 and not is_free(one, offices) and all(map(self._words.knows, words))

    def _without_doubtful(self, document: Recased, one: Finding, seen: Sequence[Finding]) -> Finding | None:
        """A name without trailing words that only recasing capitalized and no model sees as a person."""
        words = [found.span() for found in NAME_WORD.finditer(document.text, one.start, one.end)]
        while words and words[-1] in document.doubtful and is_free(Finding(*words[-1], ""), seen):
            words.pop()
        return Finding(one.start, words[-1][1], one.entity) if words else None

    def _is_likely(self, text: str, one: Finding, addresses: Sequence[Finding]) -> bool:
        value = text[one.start : one.end]
        words = NAME_WORD.findall(value)
        if not words or is_company(value) or value in self._allow or value.startswith("The "):
            return False
        if any(word in self._allow for word in words):
            return False
        if ", " in value and not self._is_last_name(words[0].lower()):
            return False
        if any(not self._words.knows(word.lower()) for word in words):
            before = text[max(0, one.start - 20) : one.start]
            return len(words) > 1 or not _NEEDS_TWO.search(before)
        # "Rose Baker <r.baker@…>": words alone, but the address says the same.
        first, last = words[0].lower(), words[-1].lower()
        local = [text[other.start : other.end].partition("@")[0].lower() for other in addresses]
        if ", " in value:
            return any(address_tells(part, (first, last)) for part in local)
        return len(words) > 1 and any(part.startswith(first[0]) and last in part for part in local)

    def _is_labeled_person(self, text: str, one: Finding, things: Sequence[Finding]) -> bool:
        """Whether several words after a label are a name, by the number of them that are in no dictionary.

        One is enough; if the model sees a thing, all must be.
        """
        words = NAME_WORD.findall(text[one.start : one.end])
        unknown = sum(len(word) > 2 and not self._words.knows(word.lower()) for word in words)
        enough = 1 if is_free(one, things) else len(words)
        return len(words) > 1 and unknown >= enough and self._is_likely(text, one, ())

    def _is_last_name(self, word: str) -> bool:
        return not self._words.knows(word) or self._words.is_only_noun(word)

    def _plausible(self, text: str, names: Iterable[Finding]) -> Iterator[Finding]:
        for name in names:
            start, inner = name.start, text[name.start : name.end]
            # A name does not go over the end of a line.
            start += len(inner) - len(inner.lstrip())
            inner = inner.strip().split("\n")[0].rstrip(" .,'’-")
            if NO_NAME.search(inner) or inner in self._allow:
                continue
            if title := TITLE_BEFORE.match(inner):
                start, inner = start + title.end(), inner[title.end() :]
            inner = _leading_name(re.sub(r"['’]s?$", "", inner))
            if self._is_plausible(text, start, inner):
                yield Finding(start, start + len(inner), name.entity)

    def _is_plausible(self, text: str, start: int, inner: str) -> bool:
        end = start + len(inner)
        if len(inner) < 2 or inner in self._allow or not _TWO_LETTERS.search(inner):
            return False
        if is_title(inner) or is_reference(text, start, end):
            return False
        if _DOTTED.search(text, start, end + 5):
            return False
        if " " not in inner:
            if inner.isupper():
                return False
            return not (is_common_noun(text, start, end) or _is_noun(inner, text))
        return not (inner.startswith("The ") or _PLACE_PREFIX.fullmatch(inner))

    def _whole(self, text: str, one: Finding, doubtful: Sequence[Finding]) -> Finding:
        start, end = whole_name(text, one.start, one.end, self._words.knows)
        # "Lindiwe Khumalo", of whom the model knows the last name alone.
        before = _WORD_BEFORE.search(text[max(0, start - _LOOK_BACK) : start])
        if before and self._belongs(before["word"]):
            other = Finding(start - 1 - len(before["word"]), start, "")
            start = other.start if is_free(other, doubtful) else start
        behind = _WORD_BEHIND.match(text, end)
        if behind and self._belongs(behind["word"]):
            other = Finding(behind.start("word"), behind.end(), "")
            end = other.end if is_free(other, doubtful) else end
        return Finding(start, end, one.entity)

    def _belongs(self, word: str) -> bool:
        """Whether a word next to a name is another part of it."""
        small = re.sub(r"['’]s$", "", word.lower())
        if TITLE_BEFORE.match(f"{word} ") or not (word.istitle() or _INNER_CAPITAL.match(word)):
            return False
        return not (self._words.knows(small) or word in self._allow or is_common_noun(word, 0, len(word)))

    def echoes(self, text: str, people: Iterable[Finding]) -> list[Finding]:
        """Occurrences of a part of a name whose whole occurs elsewhere, in any case.

        Args:
            text: the original document.
            people: the people found.
        """
        parts = {
            part
            for person in people
            if person.entity == "PERSON"
            for part in self._parts(text[person.start : person.end])
        }
        found: list[Finding] = []
        for part in sorted(parts, key=lambda part: (-len(part), part)):
            for start in _places(part, text):
                one = Finding(start, start + len(part), "PERSON")
                before, behind = text[start - 1 : start] if start else "", text[one.end : one.end + 1]
                if not (_is_word(before) or _is_word(behind) or behind == "-") and is_free(one, found):
                    found.append(one)
        return found

    def _parts(self, name: str) -> Iterator[str]:
        for word in name.split():
            part = word.strip(".,")
            small = part.lower()
            if len(part) < 3 or part in self._allow or is_ambiguous(part) or small in _PARTICLES:
                continue
            if part.istitle() or _INNER_CAPITAL.match(part):
                yield part
            elif (part.isupper() or part.islower()) and len(part) > 3 and not self._words.knows(small):
                yield part
                yield small.title()


def without_known(text: str, people: Sequence[Finding], protected: Iterable[Finding]) -> list[Finding]:
    """The people without the parties of a case and its judge, whom the text calls by their last names.

    Args:
        text: the document.
        people: the people found.
        protected: the names of cases, courts and statutes.
    """
    # Not so who has rights, or a case: "Sarah's rights".
    known = {
        word.group()
        for span in protected
        for word in NAME_WORD.finditer(text, span.start, span.end)
        if not _POSSESSIVE.match(text, word.end())
    }
    words = [set(NAME_WORD.findall(text[one.start : one.end])) for one in people]
    return [one for one, parts in zip(people, words, strict=True) if not parts or not parts <= known]


def _leading_name(text: str) -> str:
    # Models run on into the sentence; a name ends where the capitals do, but for "de" and "von".
    words = text.split(" ")
    length = 0
    for place, word in enumerate(words):
        if word[:1].isupper():
            length = place + 1
        elif word.lower() not in _PARTICLES or not length:
            break
    return " ".join(words[:length])


def _is_noun(word: str, text: str) -> bool:
    # "Controller" in a title is not a person if the body says "the controller".
    noun = word.lower()
    return any(
        _NOUN_END.match(text, start + len(noun)) and _BEFORE_NOUN.search(text, max(0, start - 60), start)
        for start in _places(noun, text)
    )


def _places(part: str, text: str) -> Iterator[int]:
    # A pattern would have to be made for each part, which takes longer than to look for it.
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"
