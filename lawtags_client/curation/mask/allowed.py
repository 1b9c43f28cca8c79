"""Names in legal questions that look like personal data but are not.

Tags depend on jurisdictions, statutes, courts and case names, so these are not masked. Judges and the parties
in the name of a published case are not secret, either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lawtags_client.curation.mask.companies import find_companies
from lawtags_client.curation.mask.english_words import FUNCTION_WORDS
from lawtags_client.curation.mask.word_lists import alternatives, domain_words, read_words
from lawtags_client.curation.options import DEFAULT_DOMAINS
from lawtags_client.curation.read.columns import normalize_text

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’&.-]*"
_PARTY = (
    rf"(?:the\s+)?{_NAME}"
    rf"(?:[ ,]+(?:{_NAME}|&|of|the|and|for|de|la|von|van|der|ex\s+rel\.?|et\s+al\.?)){{0,7}}"
)
_JOINED = rf"(?:[ ]+(?:{_NAME}|&|of|the|and|for)){{0,5}}"
# Spans that are the name of a case, a court or a statute as a whole.
_PROTECTED = (
    re.compile(rf"\b{_PARTY}\s+(?:v|vs)\b\.?\s+(?:the\s+)?{_NAME}{_JOINED}"),
    re.compile(
        rf"\b(?:[Ii]n\s+[Rr]e|[Ee]x\s+[Pp]arte|[Mm]atter\s+of|[Ee]state\s+of)\s+{_NAME}(?:\s+{_NAME}){{0,3}}"
    ),
    # The bench: "Judge Judy", "Chief Justice Roberts", "Lord Denning", "Hoffmann LJ".
    re.compile(
        rf"\b(?:(?:Chief|Associate|Lord|Lady|Mr\.?|Mrs\.?|Ms\.?)\s+)?(?:Judge|Justice|Magistrate|Lord|Lady|Baroness|"
        rf"President|Senator|Chancellor|Pope|King|Queen|Prince|Princess)\s+{_NAME}(?:\s+{_NAME}){{0,2}}"
    ),
    re.compile(r"\b[A-ZÀ-Þ][a-zà-ÿ][\w'’-]+,?\s+(?:C?J|L?JJ?|P|MR)\b(?!\.?\s+[A-Z])\.?"),
    re.compile(
        r"\b(?:[Ss]ections?|[Ss]ec\.|[Aa]rticles?|[Aa]rt\.|[Cc]hapters?|[Rr]ules?|[Tt]itles?|[Pp]arts?|§+)\s*"
        r"(?:\d[\w.()-]*|[IVXLC]+\b)"
    ),
    re.compile(
        rf"\b(?:University|Court|City|County|State|Province|Republic|Kingdom|Bank|Church)\s+of\s+(?:the\s+)?"
        rf"{_NAME}(?:\s+{_NAME}){{0,3}}"
    ),
    # Journals and rulings of the tax office: "Harv. L. Rev. Forum", "Rev. Rul. 59-60".
    re.compile(r"\b(?:L\. ?Rev|Rev\. ?(?:Rul|Proc|Stat))\b\.?(?: (?:Forum|Online|Disc)\b)?"),
    # Placeholders from a first pass.
    re.compile(r"<[A-Z_]+(?::[0-9a-f]+)?>"),
)

# Buildings, days and diseases named after a person, whose name may occur elsewhere in the text.
_CALLED_AFTER = (
    re.compile(
        rf"\b[Tt]he\s+{_NAME}(?:\s+(?:{_NAME}|and|of|the|de|la)){{0,4}}\s+(?:[Aa]irport|[Mm]useum|[Tt]unnel|[Bb]ridge|Tower|"
        r"Park|Stadium|Theat(?:re|er)|Station|Building|Cent(?:re|er)|Library|Hotel|Hospital|Cathedral|Abbey|Palace|"
        r"Castle|Gallery|Seaway|Canal|Dam|Highway|Memorial|Monument|Prize|Award)\b"
    ),
    re.compile(rf"\b{_NAME}['’]s\s+(?:Day|Eve|Week|disease|syndrome|palsy)\b|\bHobson['’]s\s+choice\b"),
    re.compile(r"\bOld Bailey\b"),
)

# "MIRANDA V. ARIZONA"; "VICTOR V. CHEN" after "MR." or "MY LANDLORD" has an initial.
_SHOUTED_VERSUS = re.compile(r"(?<=[A-ZÀ-Þ.'’] )VS?\.? (?=[A-ZÀ-Þ]{2})")
_CAPITALS_BEFORE = re.compile(r"(?:(?<![\w'’-])[A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]* ){1,12}\Z")
_CAPITALS_BEHIND = re.compile(r"[A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]*(?: [A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]*(?![\w'’-])){0,4}")
_PERSONAL_WORDS = (
    "mr mrs ms miss mx dr prof rev my our his her their your dear hello hi man woman named called"
)
_PERSONAL_CAPITALS = frozenset(_PERSONAL_WORDS.upper().split())
_MOST_PARTY_WORDS = 4

_SENTENCE_WORDS = frozenset(FUNCTION_WORDS)
_LOOK_BACK = 120
_OPENINGS = frozenset(read_words("english/openings"))
_AMBIGUOUS = _OPENINGS | frozenset(read_words("english/word-names"))
# The lists of a domain that name what is not personal data.
_KINDS = ("places", "landmarks", "terms", "authorities", "public-figures", "brands", "roles", "kin")


class AllowList:
    """Knows which words and places are not personal data.

    Args:
        more: additional words and names, such as the tags of the data.
        domains: the domains whose lists are used.
    """

    def __init__(self, more: Iterable[str] = (), domains: Iterable[str] = DEFAULT_DOMAINS) -> None:
        domains = tuple(domains)
        self._brands = frozenset(map(normalize_text, domain_words(domains, "brands")))
        known = (*domain_words(domains, *_KINDS), *more)
        self._terms = frozenset(filter(None, map(normalize_text, known)))
        self._protected = (*_PROTECTED, *_called_after(domains))

    def __contains__(self, name: object) -> bool:
        """Whether a name, without its article and possessive, is on the list."""
        return isinstance(name, str) and (self.allows_cued(name) or is_ambiguous(_words(name)))

    def allows_cued(self, name: str) -> bool:
        """Whether a name is on the list even after words that introduce a person.

        "Will" alone is not a name, but it is one in "my brother Will".
        """
        words = _words(name)
        return words in self._terms or words in _OPENINGS

    def allows_titled(self, name: str) -> bool:
        """Whether a name is on the list even after "Mr." or another title.

        No company is called "Mr. McDonald".
        """
        return self.allows_cued(name) and _words(name) not in self._brands

    def protected(self, text: str) -> Iterator[tuple[int, int]]:
        """The spans of a text that name a case, a court, a statute or a judge."""
        for pattern in self._protected:
            for found in pattern.finditer(text):
                yield found.span()
        yield from find_shouted_cases(text)


def _called_after(domains: tuple[str, ...]) -> Iterator[re.Pattern[str]]:
    """Patterns for rules, methods and doctrines that are named after someone."""
    # "Lanham Act", "Megan's Law", "Miranda rights"
    if rules := domain_words(domains, "rules"):
        yield re.compile(rf"\b{_NAME}(?:[ -]{_NAME}){{0,4}}(?:['’]s)?\s+(?:{alternatives(rules)})\b")
    if doctrines := domain_words(domains, "doctrines"):
        yield re.compile(rf"\b{_NAME}(?:[ -]{_NAME})?\s+(?:{alternatives(doctrines)})\b")


def find_shouted_cases(text: str) -> Iterator[tuple[int, int]]:
    """The spans of a text that name a case in capitals.

    A party has at most four words, none of them a function word.
    """
    for versus in _SHOUTED_VERSUS.finditer(text):
        first = max(0, versus.start() - _LOOK_BACK)
        before = _CAPITALS_BEFORE.search(text[first : versus.start()])
        behind = _CAPITALS_BEHIND.match(text, versus.end())
        if not before or not behind:
            continue
        words = [word.strip(".,") for word in before.group().split()]
        party = _party(words[::-1])
        rest = words[: len(words) - len(party)][-3:]
        if not party or not _PERSONAL_CAPITALS.isdisjoint([*party, *rest]):
            continue
        begin = versus.start() - sum(map(len, before.group().split()[-len(party) :])) - len(party)
        other = behind.group().split()
        end = versus.end() + len(" ".join(other[: max(1, len(_party(other)))]))
        yield begin, end


def _party(words: list[str]) -> list[str]:
    """The words of a party, starting with the one next to the "v."."""
    party: list[str] = []
    for word in words[:_MOST_PARTY_WORDS]:
        if word not in ("OF", "THE", "&") and word.lower() in _SENTENCE_WORDS:
            break
        party.append(word)
    return party


def find_called_after(text: str) -> Iterator[tuple[int, int]]:
    """The spans of a text that name a building, a day, a disease or a company after someone."""
    yield from find_companies(text)
    for pattern in _CALLED_AFTER:
        for found in pattern.finditer(text):
            yield found.span()


def is_ambiguous(word: str) -> bool:
    """Whether a word is both a first name and an ordinary word."""
    return word.lower() in _AMBIGUOUS


def _words(name: str) -> str:
    # Tags part their words with hyphens; so do the terms once normalized.
    return normalize_text(name).removeprefix("the ").removesuffix(" s")
