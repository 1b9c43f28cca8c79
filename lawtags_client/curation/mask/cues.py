"""Find names by the words around them, where a model sees no person or is uncertain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from lawtags_client.curation.mask.findings import Finding, is_free
from lawtags_client.curation.mask.shapes import NAME, UPPER, WORD
from lawtags_client.curation.mask.word_lists import alternatives, read_words

# "Rev. Rul. 59-60" is a ruling, and "Harv. L. Rev." a journal.
_REVEREND = r"(?<!L\. )(?<!L\.)Revd?(?!\.? (?:Rul|Proc|Stat|Code|Laws?|Ed|Online|Forum)\b)"
# "Mass. Gen. Laws", "Infosys Pvt. Ltd." and the like have no rank in them.
_RANKS = (
    r"(?:Col|Maj|Brig|Ens|Ofc|Cst|Agt|Spc|Pvt(?!\. (?:Ltd|Limited|Co|Equity)\b)|"
    r"Adm(?!\. (?:Code|Law|Proc|Rule)s?\b)|"
    r"Gen(?!\. (?:Stat|Laws?|Code|Counsel|Assemb|Ord|Part|Rel|Elec|Mot)))(?=\. )"
)
_ABBREVIATED = (
    "Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sgt|Ssgt|Lt|Capt|Cpl|Pfc|Cmdr|Det|Insp|Supt|Messrs|Mme|Mlle|Hr|Sra|Srta"
)
_SHORT_TITLES = rf"{_ABBREVIATED}|{_RANKS}|{_REVEREND}"
_LONG_TITLES = (
    "Professor|Doctor|Reverend|Chaplain|Vicar|Captain|Colonel|Corporal|Officer|Sergeant|Lieutenant|Detective|"
    "Deputy|Inspector|Constable|Trooper|Nurse|Attorney|"
    "Frau|Herrn?|Señora?|Señorita|Monsieur|Madame|Mademoiselle|Maître|Signora?|Pastor|Rabbi|Imam"
)
_TITLES = rf"(?:(?:{_SHORT_TITLES})\b\.?|\b(?:{_LONG_TITLES}))"
_TITLED = re.compile(
    rf"\b(?:{_TITLES} )++"
    r"(?!General|Practitioner|Sheriff|Minister|Commissioner|Director|Constable|Client|Who\b)"
    rf"(?P<name>{NAME})"
)
TITLE_BEFORE = re.compile(rf"(?:{_TITLES} )+")
PERSONAL_TITLE_BEFORE = re.compile(rf"\b(?:{_SHORT_TITLES})\b\.? \Z")

# The model mistakes some of them for names: "Staff Sgt".
_RANK_WORDS = frozenset(read_words("cues/rank-words"))
_TITLE_WORDS = frozenset(read_words("cues/title-words"))
_REFERENCE = re.compile(rf"(?:{alternatives(read_words('cues/references'))})\b")
# "Exh. A", but not "Rem A. Smith" nor "Art V. Jones": an initial has a name after it.
_LABEL = re.compile(
    r"\.?[ \u00a0]?(?:\(?\d|§|\(?[IVXLC]{2,}\b(?![.'’-]\w)|\(?[A-Z]\b(?![.'’-]\w|\.? +[^\W\d_]*[A-Z]))"
)

RELATIVES = alternatives(sorted(read_words("cues/relatives"), key=len, reverse=True))
_RELATED = re.compile(
    rf"\b(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir|[Yy]our) (?:[a-z]+(?:['’]s)? )?(?:{RELATIVES}),? "
    rf"(?P<name>{NAME})(?!['’]?s? (?:v|vs)\b)"
)
# Of these, some are companies: "my client Ford".
RELATED_BEFORE = re.compile(
    r"\b(?:my|our|his|her|their|your) (?:[a-z]+(?:['’]s)? )?(?!client|contractor|broker)"
    rf"(?:{RELATIVES}),? \Z",
    re.IGNORECASE,
)
_INTRODUCED = re.compile(
    rf"\b(?:[Mm]y (?:full )?name is|I am called|[Ss]igned by|"
    rf"(?:[Mm]an|[Ww]oman|[Gg]uy|[Pp]erson|[Ll]ady|[Gg]irl|[Bb]oy|[Ss]omeone|[Ss]omebody) (?:named|called)) "
    rf"(?P<name>{NAME})"
)
_NOBODY = alternatives(read_words("cues/nobody"))
_GREETED = re.compile(
    rf"(?:^|[\n\"“'‘(.] ?)(?:[Dd]ear|[Hh]ello|[Hh]i|[Hh]ey|[Gg]ood (?:morning|evening)),? "
    rf"(?!{_NOBODY})(?P<name>{NAME})(?=[,!\n])"
)
# In scripts without capitals, a change of script after a cue marks the name.
_UNCASED_LETTER = (
    "[\u0590-\u05ff\u0620-\u06d3\u06d5-\u08ff\u0900-\u0dff\u0e01-\u0e4e\u1000-\u109f\u1780-\u17d3"
    "\u200c\u200d\u3005\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
)
_UNCASED = re.compile(
    rf"\b(?:{_TITLES} |(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir|[Yy]our) (?:[a-z]+ )?(?:{RELATIVES}),? "
    rf"|[Mm]y (?:full )?name is |[Dd]ear )(?P<name>{_UNCASED_LETTER}+(?:[ ·・]{_UNCASED_LETTER}+){{0,3}})"
)
# "Best regards, Anna" or "- Anna" at the end of the text.
_SIGNED = re.compile(
    rf"(?:\b(?:[Rr]egards|[Ss]incerely|[Cc]heers|[Tt]hanks|[Tt]hank you|[Yy]ours(?: truly)?|[Bb]est wishes|"
    rf"[Rr]espectfully|[Ff]aithfully|[Ww]armly|[Bb]est(?=,\s*\n))"
    rf"[,!.]?\s+[-–—]?\s?"
    rf"|(?:[.!?]\s+|\n)[-–—]{{1,2}}\s?)(?P<name>{NAME})\.?\s*\Z"
)
# Verbs whose object is a person or a company; the model knows companies.
_OBJECT = re.compile(
    r"\b(?:I|[Ww]e|[Hh]e|[Ss]he) (?:(?:have|had|has|never|also|then|only|already) )?"
    r"(?:lent|told|asked|married|divorced|met|dated|trusted|loaned|warned|texted|befriended|forgave|owe|introduced|"
    rf"hugged|punched) (?P<name>{NAME})(?! v)"
)
# Cues that a company, a place or a thing may follow as well.
_PARTIES = alternatives(read_words("cues/parties"))
_ROLES = f"{RELATIVES}|{alternatives(read_words('cues/roles'))}"
_IN_ROLE = re.compile(rf"\b[Tt]he (?:[a-z]+ )?(?:{_ROLES}),? (?P<name>{NAME})")
_SELF = re.compile(rf"\b(?:I['’]?m|I am|[Tt]his is) (?P<name>{NAME})")
_PARTY = re.compile(rf",? \((?:the |hereinafter |hereafter )*[\"“]?(?:{_PARTIES})\b")
_NAME_AT_END = re.compile(rf"(?P<name>{NAME})\Z")
_HEADER = re.compile(r"(?:^|\n)[ >]*(?:From|To|Cc|CC|Bcc|Attn|Sender|Signed):[ \t]*(?P<line>[^\n]{1,200})")
_EACH_NAME = re.compile(NAME)
# "Father: Iosif Țăranu", at the beginning of a line or a clause.
_LABELED = re.compile(
    rf"(?:^|[\n;,.(|] ?|\b(?:[Mm]y|[Tt]he) )[ >*-]*"
    rf"(?i:(?:full |first |last |legal )?name|{_ROLES}|{_PARTIES})s?:[ \t]*(?P<name>{NAME})"
    rf"(?=[ \t]*(?:[\n,;.()|]|\Z))"
)
_TO_ADDRESS = r",?\s{0,2}(?:[-–—|:]\s?|at |on )?[<(\[]?\Z"
_BEFORE_ADDRESS = re.compile(rf"(?P<name>{NAME}){_TO_ADDRESS}")
# "Jones, Alice <a.jones@…>" at the beginning of a line or an entry; not "Thanks, Alice".
_NO_LAST_NAME = (
    "Regards|Thanks|Thank|Cheers|Best|Sincerely|Yours|Wishes|Hello|Hi|Hey|Dear|Yes|No|Please|Attn|Today|"
    "Yesterday|Tomorrow|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|January|February|March|April|May|June|July|August|"
    "September|October|November|December"
)
_REVERSED_BEFORE_ADDRESS = re.compile(
    r"(?:^|[\n;:(>\"] ?|\b(?:[Cc]ontact|e-?mail|mail|write|ask|call|to|from|cc|by|via) )"
    rf"(?P<name>(?!(?:{_NO_LAST_NAME})\b){WORD}, {NAME}){_TO_ADDRESS}"
)
_IMPERATIVE = re.compile(
    r"(?:Contact|E-?[Mm]ail|Mail|Write|Ask|Call|Text|See|Send|From|To|Cc|By|Via|Attn|Regards|Thanks|Cheers|Best|Sincerely|"
    r"Or|And|Please) "
)
_LOOK_BACK = 70
_TITLE_PARTS = (
    *("Col", "Maj", "Rev", "Brig", "Ens", "Ofc", "Cst", "Agt", "Spc", "Pvt", "Adm", "Gen"),
    *(re.sub(r".\?", "", title) for title in f"{_ABBREVIATED}|{_LONG_TITLES}".split("|")),
)


def _holds_any(*parts: str) -> Callable[[str], bool]:
    return lambda text: any(part in text for part in parts)


def _ends_with_name(text: str) -> bool:
    last = text.rstrip().removesuffix(".").rpartition(" ")[2]
    return last[-1:].isalpha() and not last.islower()


# Each with what a text must hold for it to match: most hold nothing of it, and that is quickly seen.
_CUES: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (_TITLED, _holds_any(*_TITLE_PARTS)),
    (_RELATED, _holds_any("y ", "r ", "is ")),
    (_INTRODUCED, _holds_any("name is ", "called ", "named ", "igned by ")),
    (_GREETED, _holds_any("ear ", "ello", "Hi", "hi ", "hi,", "ey ", "ey,", "ood ")),
    (_SIGNED, _ends_with_name),
    (_UNCASED, lambda text: not text.isascii()),
)

# What only people do or have done to them, after a name that the model takes for a company or a place.
_HUMAN = re.compile(
    r"['’]?,? (?:(?:now|still|never|also|then|always|just|once|only|later|already|even|has|had|who|keeps) )*"
    r"(?:and (?:I|my|me|her|his|she|he)|says (?:he|she|that he|that she|I|the|we|my|his|her)|"
    r"lied|lies|owes|owed|promised|promises|married|died|moved|lent|borrowed|stole|drove|replied|replies|"
    r"fired me|hired me|told (?:me|us|my)|refuses to|refused to|wants (?:to|me|my|his|her|us|half)|"
    r"threatens|threatened|insists|insisted|apologi[sz]ed|texted|calls me|called me|calling|"
    r"rented (?:me|us|out)|sold (?:me|us|her|his)|gave (?:me|us)|bought (?:me|his|her)|hit (?:me|my|us)|"
    r"lives|lived|slept|admitted|confessed|signed|witnessed|inherited|resigned|quit|"
    r"was (?:born|arrested|drunk|fired|my|her|his)|is (?:my|our|his|her|sixteen|seventeen|eighteen))\b"
)
# No company is called "Saoirse Ní Mhurchú".
_GAELIC = re.compile(rf"^{WORD} (?:O['’]|Ó |Ní |Nic )(?={UPPER})")
_COMPANY = re.compile(rf"\b(?:{alternatives(read_words('cues/company-words'))})\b")
# Long words with an ending of this kind are German nouns, as long as they stand alone.
_GERMAN_NOUN = re.compile(
    r"(?:pflicht|ung|heit|keit|schaft|gericht|gesetz|(?<!b)recht|vertrag|frist|bescheid|ordnung|verein|verfahren|klage|"
    r"urteil|schutz|anwalt|antrag|ruf|steuer|geld|buch|amt|spruch|mieter|geber|nehmer|käufer|gläubiger|schuldner|macht|"
    r"sache|miete|kosten|zeuge|zeugnis|erlaubnis|ergebnis|verhältnis|versicherung|kasse|sitz|abgabe|behörde|beamter|"
    r"verwaltung|kündigung|abmahnung|rechnung|grundstück|eigentum|besitz|testament)(?:e[nrs]?|s|en)?$"
)
_DETERMINED = re.compile(
    r"\b(?:the|an?|my|our|your|its|this|that|these|those|each|every|no|any|some|another|der|die|das|den|dem|des|"
    r"eine?[rnms]?|le|la|les|un|une) $",
    re.IGNORECASE,
)
_FEATURE = alternatives(read_words("cues/features"))
# Towns are called like this as well, and where the model sees one it is left alone.
_TOWN_FEATURE = "Valley|Falls|Bay|Beach|Hills?|Heath|Springs?"
_LAND = re.compile(
    rf"\b(?:(?:{WORD}(?:['’]s)? ){{1,3}}(?:{_FEATURE}|(?P<town>{_TOWN_FEATURE}))"
    rf"|(?:Lake|Mount|Mt\.|Loch|Lough|River|Isle of|Cape) {WORD})\b(?! {UPPER})"
)


def find_cued(text: str, doubtful: Iterable[Finding] = ()) -> Iterator[Finding]:
    """Find names after a title, a relation, a greeting or a similar cue.

    Args:
        text: the document.
        doubtful: spans that a model labels as a company, a place or similar.
    """
    for cue, could_match in _CUES:
        for found in cue.finditer(text) if could_match(text) else ():
            yield Finding(*found.span("name"), "PERSON")
    doubtful = tuple(doubtful)
    for found in _OBJECT.finditer(text):
        someone = Finding(*found.span("name"), "PERSON")
        if is_free(someone, doubtful) and not _COMPANY.search(found["name"]):
            yield someone


def find_labeled(text: str) -> Iterator[Finding]:
    """Find names after a label that is a role or a relative, or after "Name:".

    Args:
        text: the document.
    """
    for found in _LABELED.finditer(text) if ":" in text else ():
        if not _COMPANY.search(found["name"]):
            yield Finding(*found.span("name"), "PERSON")


def find_weakly_cued(text: str, addresses: Iterable[Finding]) -> Iterator[Finding]:
    """Find possible names by cues that are weak on their own.

    Args:
        text: the document.
        addresses: email addresses and phone numbers; a name may precede them.
    """
    for found in (*_IN_ROLE.finditer(text), *_SELF.finditer(text)):
        yield Finding(*found.span("name"), "PERSON")
    for party in _PARTY.finditer(text) if " (" in text else ():
        first = max(0, party.start() - _LOOK_BACK)
        if before := _NAME_AT_END.search(text[first : party.start()]):
            yield Finding(first + before.start(), party.start(), "PERSON")
    for header in _HEADER.finditer(text) if ":" in text else ():
        for found in _EACH_NAME.finditer(header["line"]):
            start = header.start("line")
            yield Finding(start + found.start(), start + found.end(), "PERSON")
    for address in addresses:
        first = max(0, address.start - _LOOK_BACK)
        if before := _BEFORE_ADDRESS.search(text[first : address.start]):
            start, end = before.span("name")
            if verb := _IMPERATIVE.match(before["name"]):
                start += verb.end()
            yield Finding(first + start, first + end, "PERSON")
        turned = _REVERSED_BEFORE_ADDRESS.search(text[first : address.start])
        # Where the look back was cut off within a line, no line begins.
        if turned and (turned.start() or not first):
            yield Finding(first + turned.start("name"), first + turned.end("name"), "PERSON")


def address_tells(local: str, words: Sequence[str]) -> bool:
    """Whether the local part of an email address consists of the words of a name, or of their initials.

    Args:
        local: the part before the "@", in lower case.
        words: the words of the name, in lower case.
    """
    first, last = words[0], words[-1]
    pairs = [(one, other) for one in (first, first[0]) for other in (last, last[0])]
    told = {first, last, first[0], last[0]}.union(*({one + other, other + one} for one, other in pairs))
    return "".join(filter(str.isalpha, local)) in told


def is_company(name: str) -> bool:
    """Whether a name contains a word that marks a company or an office."""
    return _COMPANY.search(name) is not None


def find_doubtful_people(text: str, doubtful: Iterable[Finding]) -> Iterator[Finding]:
    """Find people among a model's companies and places, by verbs that only people are subject of.

    Args:
        text: the document.
        doubtful: spans that the model labels as a company, a place or similar.
    """
    for one in doubtful:
        value = text[one.start : one.end]
        if not re.fullmatch(NAME, value) or _COMPANY.search(value):
            continue
        if _HUMAN.match(text, one.end) or _GAELIC.search(value):
            yield Finding(one.start, one.end, "PERSON")


def find_land(text: str, places: Iterable[Finding]) -> Iterator[Finding]:
    """Find the whole names of lakes, hills and similar among a model's places.

    Args:
        text: the document.
        places: spans that the model labels as any kind of place.
    """
    known = tuple(places)
    if not known:
        return
    for found in _LAND.finditer(text):
        land = Finding(*found.span(), "LOCATION")
        if any(
            not is_free(land, (place,)) and not (found["town"] and place.entity == "GPE") for place in known
        ):
            yield land


def is_title(name: str) -> bool:
    """Whether a supposed name is only a title or a rank."""
    words = re.split(r"[.\s]+", name.lower().rstrip("."))
    return words[-1] in _TITLE_WORDS and all(word in _TITLE_WORDS or word in _RANK_WORDS for word in words)


def is_reference(text: str, start: int, end: int) -> bool:
    """Whether a supposed name refers to a part of a text: "Fig. 4", "Annex IV", "Paras. 4-5".

    Args:
        text: the document.
        start: index of its first letter.
        end: index after its last letter.
    """
    found = _REFERENCE.match(text, start, end)
    return found is not None and _LABEL.match(text, found.end()) is not None


def is_common_noun(text: str, start: int, end: int) -> bool:
    """Whether a single word is a thing or an office: it has an article, or the ending of a German noun.

    Args:
        text: the document.
        start: index of its first letter.
        end: index after its last letter.
    """
    word = text[start:end]
    if len(word) > 6 and _GERMAN_NOUN.search(word):
        return True
    return _DETERMINED.search(text[max(0, start - 40) : start]) is not None
