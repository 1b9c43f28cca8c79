"""Normalize citations of statutes, and change nothing else.

Every rule starts from a sign or word that only citations contain (``§``, ``U.S.C.``, ``Sec.``), so dates,
phone numbers, URLs and words such as ``covid-19`` are not affected.

* ``§107`` → ``§ 107``; ``§ §5-7`` → ``§§ 5–7``
* ``17 USC 107`` → ``17 U.S.C. § 107``; ``29 CFR 1910.1200`` → ``29 C.F.R. § 1910.1200``
* ``Sec. 230`` → ``Section 230``; ``Arts. 5-7`` → ``Articles 5–7``; the same for Sch. and Reg.
* ``§ 230 (c) (1)`` → ``§ 230(c)(1)``; ``§ 107(a)-(c)`` → ``§ 107(a)–(c)``

A hyphen becomes an en dash only in a range: between two plain numbers, the second larger, after a plural
(``§§``, ``Sections``). ``UCC § 2-207`` is one section and keeps its hyphen. So do ``Sections 2-207 and
2-209``, whose numbers start alike, and possible phone numbers in a list.
"""

from __future__ import annotations

import re

from lawtags_client.curation.clean.citation_ends import is_citation

# Searched in lower-case text, which takes a third of the time of a case-insensitive search.
_TRIGGER = re.compile(
    r"§|u\.? ?s\.? ?c\b|c\.? ?f\.? ?r\b|\b(?:sec|art|sch|reg)s?\b"
    r"|\b(?:sections?|articles?|schedules?|regulations?)\b"
)

# URLs and email addresses may contain anything, including "§5" or "/sec.5".
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)\S+|\S+@\S+\.\S+|`[^`\n]*`", re.IGNORECASE)

_DASH = r"[-‐‑‒–—]"
_SUB = r"\((?:[a-z]{1,2}|[A-Z]|[ivx]{1,5}|[IVX]{1,5}|\d{1,2})\)"
# 107, 18.2-57, 1910.1200, 2000e-5, 10b-5, 552a
_NUMBER = r"\d+[A-Za-z]{0,2}(?:\.\d+[A-Za-z]?)*"
_ITEM = rf"{_NUMBER}(?:-\d+[A-Za-z]?(?:\.\d+)*)*"
_SPACE = r"[ \u00a0]*"

_SPLIT_SIGN = re.compile(rf"§{_SPACE}§(?:{_SPACE}§)*")
_SIGN_SPACE = re.compile(rf"(§+){_SPACE}(?=\d|\()")
_SIGN_WORD = re.compile(r"(§+)(?=[A-Za-z])")
# "17 U.S.C. Sec. 107" has the word in place of the sign.
_WORD = rf"(?:([Ss])ec(?:tion)?(s?)\.?{_SPACE}(?=\d))"
_USC = re.compile(
    rf"\b(\d+){_SPACE}[Uu]\.?{_SPACE}[Ss]\.?{_SPACE}[Cc](?:\.|(?![A-Za-z])){_SPACE}"
    rf"(?:{_WORD}|(?=§*{_SPACE}\d|§))"
)
_CFR = re.compile(
    rf"\b(\d+){_SPACE}[Cc]\.?{_SPACE}[Ff]\.?{_SPACE}[Rr](?:\.|(?![A-Za-z])){_SPACE}"
    rf"(?:{_WORD}|(?=§*{_SPACE}\d|§|[Pp]arts?\b))"
)
_USC_TITLE = re.compile(r"\b([Tt]itle \d+) (?:USC|CFR)\b(?!\.)(?! *[§\d])")
_ABBREVIATED = re.compile(
    rf"(?<![\w.\-/])(?:(Sec|sec|Art|art|Sch|sch|Reg|reg)(s?)\.{_SPACE}|(Sec|Art|Sch|Reg)(s?) +)"
    rf"(?=\d+(?![\d:/]*[:/])(?!\w*-[A-Za-z])(?!\d*-\d+-\d)|[IVXL]+\b(?!-))"
)
_WORDS = {"sec": "Section", "art": "Article", "sch": "Schedule", "reg": "Regulation"}
_SPACED_SUBS = re.compile(
    rf"((?:§+ |\b(?:[Ss]ections?|[Aa]rticles?|[Ss]chedules?|[Rr]egulations?) ){_ITEM})((?:{_SPACE}{_SUB})+)"
    rf"(?![\w(])"
)
# The end of one range may be the start of the next, as in (a)-(c)-(e).
_SUB_RANGE = re.compile(rf"({_SUB}){_SPACE}{_DASH}{_SPACE}(?={_SUB})")
_WITH_SUBS = re.compile(
    rf"(?:§+ |\b(?:Sections?|Articles?|Schedules?|Regulations?|sections?|articles?) )"
    rf"{_ITEM}(?:{_SUB})*(?:{_SPACE}{_DASH}{_SPACE}(?:{_SUB})+)+"
)
_PLAIN = r"\d+(?:\.\d+)*[A-Za-z]?"
_RANGE = rf"{_PLAIN}(?:{_SUB})*{_SPACE}{_DASH}{_SPACE}{_PLAIN}(?:{_SUB})*"
_ENTRY = rf"(?:{_RANGE}(?![\w.]|{_DASH}\w)|{_ITEM}(?:{_SUB})*)"
_LIST = re.compile(
    rf"(?:§§ |\b(?:Sections|Articles|Schedules|Regulations|sections|articles|schedules|regulations) )"
    rf"{_ENTRY}(?:(?:, and |, or |, | and | or | & |; ){_ENTRY})*"
    # Not a range if "to" and another number follow: "§§ 2-207 to 2-209".
    rf"(?!\w|{_SPACE}{_DASH}{_SPACE}\d| (?:to|through|thru) \d)"
)
_PAIR = re.compile(
    rf"(?<![\w.\-‐‑‒–—/])((?:\d+\.)*)(\d+)([A-Za-z]?)((?:{_SUB})*){_SPACE}{_DASH}{_SPACE}"
    rf"((?:\d+\.)*)(\d+)([A-Za-z]?)(?![\w.]*\w)(?!{_DASH}\w)"
)


def format_citations(text: str) -> str:
    """Normalize the citations of sections in a text; idempotent.

    Example:
        >>> format_citations("Under 17 USC §107(a)-(c), since 2017-05-01")
        'Under 17 U.S.C. § 107(a)–(c), since 2017-05-01'
    """
    if not _TRIGGER.search(text.lower()):
        return text
    parts: list[str] = []
    end = 0
    for found in _ADDRESS.finditer(text):
        parts += [_format(text[end : found.start()]), found.group()]
        end = found.end()
    parts.append(_format(text[end:]))
    return "".join(parts)


def _format(text: str) -> str:
    text = _SPLIT_SIGN.sub("§§", text)
    text = _SIGN_SPACE.sub(r"\1 ", text)
    text = _SIGN_WORD.sub(r"\1 ", text)
    text = _codes(text)
    text = _USC_TITLE.sub(lambda found: f"{found[1]} " + ("U.S.C." if "USC" in found[0] else "C.F.R."), text)
    text = _ABBREVIATED.sub(_spell_out, text)
    text = _SPACED_SUBS.sub(lambda found: found[1] + found[2].replace(" ", "").replace("\u00a0", ""), text)
    text = _WITH_SUBS.sub(lambda found: _SUB_RANGE.sub(r"\1–", found[0]), text)
    return _LIST.sub(_ranges, text)


def _codes(text: str) -> str:
    # If two are run together ("5USC5CFR2"), the second starts a word only after the first is normalized.
    while True:
        before = text
        text = _USC.sub(lambda found: f"{found[1]} U.S.C. " + _sign(found), text)
        text = _CFR.sub(lambda found: f"{found[1]} C.F.R. " + _sign(found), text)
        if text == before:
            return text


def _sign(found: re.Match[str]) -> str:
    # The section sign is added before a bare number: "17 U.S.C. 107".
    if found[2]:
        return "§§ " if found[3] else "§ "
    following = found.string[found.end() : found.end() + 1]
    return "§ " if following.isdigit() else ""


def _spell_out(found: re.Match[str]) -> str:
    if not is_citation(found.string, found.start(), found.end()):
        return found[0]
    short, plural = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f"{_WORDS[short.lower()]}{plural} "


def _ranges(found: re.Match[str]) -> str:
    pairs = list(_PAIR.finditer(found[0]))
    begins = [pair[1] + pair[2] for pair in pairs]
    # Sections of one chapter start alike, ranges do not: "2-207 and 2-209".
    if len(set(begins)) < len(begins):
        return found[0]
    return _PAIR.sub(_range, found[0])


def _range(found: re.Match[str]) -> str:
    chapter, first, letter, subs, other_chapter, second, other_letter = found.groups()
    rising = int(first) < int(second) or (first == second and letter < other_letter)
    if first == second and letter == other_letter and subs:
        # From one subsection to another: "1201(a)-1201(c)".
        rising = found.string.startswith("(", found.end())
    if chapter != other_chapter or not rising or first.startswith("0") or second.startswith("0"):
        return found[0]
    # Later in a list, this may be a phone number.
    later = any(sign.isdigit() for sign in found.string[: found.start()])
    if later and not chapter and len(second) > max(len(first), 3):
        return found[0]
    return f"{chapter}{first}{letter}{subs}–{other_chapter}{second}{other_letter}"
