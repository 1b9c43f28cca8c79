"""Tell citations such as "art. 12" or "sec. 5" from a sentence that ends before a number.

"He sells modern art. 12 pieces were fakes" and "wait a sec. 5 officers came" look like citations. The
words before and after decide.
"""

from __future__ import annotations

import re

# "Fed. Reg." is a journal; "10 sec. 5" is a time.
_NO_CITATION = re.compile(r"(?:\bFed\.?|\d|\bstate[ -]of[ -]the[ -])\s*$")
_LAST_WORD = re.compile(r"([^\W\d_][\w'’-]*\.?)[ \u00a0]*$")

# A citation follows these, whatever comes next.
_CITING_WORDS = """
    under see per cf cf. vs vs. via to by and or nor but both than that which if whether when where because
    since until while as is are was were do does did can could may might must shall should will would has have
    had how what why against beyond within through between pursuant also e.g. i.e. contra in of for on with
    from into about at after before despite without apply applies applied cite cites cited citing violate
    violates violated violating breach breaches breached invoke invokes invoked satisfy satisfies amend amends
    amended
"""
# People also make, see and pay for art, so after these words the number must not count things.
_WORDS_BEFORE_ART = "in of for on with from into about at by and or to as is"
_COUNTING_WORDS = "a an one two three few some any every each per split last next half another single"
_CITING = frozenset(_CITING_WORDS.split())
_BEFORE_ART = frozenset(_WORDS_BEFORE_ART.split())
_COUNTED = frozenset(_COUNTING_WORDS.split())

# Verbs that follow a provision and are not plurals: "art. 12 requires", but "art. 12 pieces".
_SAYS = (
    "is|was|has|does|says|requires|gives|grants|allows|applies|covers|provides|protects|states|prohibits|forbids|permits|"
    "bars|imposes|refers|speaks|deals|governs|defines|sets|makes|means|lets|obliges|binds|limits|excludes|bans|exempts|"
    "entitles|demands|contains|reads|mentions|leaves|lists|uses|regulates|creates|extends|ends|begins|holds|this|its|"
    "as|unless|always|perhaps|thus|plus|versus|less"
)
_COUNTS = re.compile(
    rf"[ \u00a0]+(?!(?:{_SAYS})\b)(?:more |other |of (?:the|my|our|his|her|their) )?"
    r"(?:[a-z]+[^\Ws]s|people|men|women|children|them|per ?cent|second|minute|hour|day|week|month|year)\b"
    r"|[ \u00a0]+of (?:them|these|those|us|you|which|whom)\b"
)
# What can follow the number of a provision, but not a count of things.
_CLOSES = re.compile(
    r"\(|[ \u00a0]*(?:$|[.,;:)\]?!\"”’\n]|[§&–-])"
    r"|[ \u00a0]+(?:[A-Z(]|(?:of|and|or|to|through|para|lit|sub|cl|abs|no)\b)"
)
_NUMERAL = re.compile(r"(?:\d[\w-]*(?:\.\d\w*)*|[IVXL]+)")
_PRONOUN = re.compile(r"I(?:['’]|[ \u00a0]+(?!of\b|and\b|or\b|to\b)[a-z])")


def is_citation(text: str, start: int, end: int) -> bool:
    """Whether an abbreviation before a number cites a provision.

    Args:
        text: the text that contains it.
        start: index where the abbreviation starts.
        end: index where its number starts.
    """
    before = text[max(0, start - 40) : start]
    if _NO_CITATION.search(before) or _PRONOUN.match(text, end):
        return False
    number = _NUMERAL.match(text, end)
    behind = number.end() if number else end
    counts = _COUNTS.match(text, behind) is not None
    found = _LAST_WORD.search(before)
    word = found[1] if found else ""
    if text[start].isupper():
        # "The Museum of Modern Art. 12 pieces", but "GDPR Art. 5 principles".
        return not (counts and word.istitle() and word.lower() not in _CITING)
    if not word or (word.endswith(".") and word.lower() not in _CITING):
        return not counts
    word = word.lower()
    if word in _COUNTED:
        return False
    if word in _CITING:
        is_art = text.startswith("art", start) and word in _BEFORE_ART
        return not counts or not (is_art or " of " in text[behind : behind + 4])
    return not counts and _CLOSES.match(text, behind) is not None
