"""Find email addresses that are obfuscated: "anna [at] mail [dot] com"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lawtags_client.curation.mask.findings import Finding
from lawtags_client.curation.mask.word_lists import alternatives, read_words

_PART = r"[a-z0-9_](?:[\w.+-]{0,40}[a-z0-9_])?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?"
_OPEN, _CLOSE = r"[ ]{0,2}[\[({<][ ]?", r"[ ]?[\])}>][ ]{0,2}"
_AT = rf"{_OPEN}(?:at|@|ät){_CLOSE}"
_DOT = rf"{_OPEN}(?:dot|punkt|\.){_CLOSE}"
_WORD_DOT = r"[ ]{1,2}dot[ ]{1,2}"
_TOP = "com|org|net|edu|gov|mil|int|info|biz|eu|uk|de|fr|es|nl|ch|at|be|ie|ca|au|nz|jp|cn|us|se|dk|fi|pl|io"
# Capitals at its beginning alone begin a sentence: "look (at) this.It is".
_SITE_END = rf"(?-i:{_TOP}|{_TOP.upper()})"
_BEGIN, _END = r"(?<![\w.+@-])", r"(?![\w@]|-\w|\.\w)"

# Brackets around "at" are deliberate if a host name follows.
_BRACKETED = re.compile(
    rf"{_BEGIN}{_PART}(?:(?:{_DOT}|{_WORD_DOT}){_PART}){{0,3}}{_AT}{_LABEL}"
    rf"(?:(?:(?:{_DOT}|{_WORD_DOT}|\.){_LABEL}){{0,3}}(?:{_DOT}|{_WORD_DOT})[a-z]{{2,24}}"
    rf"|(?:\.{_LABEL}){{0,3}}\.{_SITE_END}){_END}",
    re.IGNORECASE,
)
# So are words without spaces, and the sign itself before a spelled dot.
_JOINED = re.compile(
    rf"{_BEGIN}(?:[a-z0-9.+_-]{{1,40}}?_at_[a-z0-9.-]{{1,40}}(?:_dot_[a-z0-9-]{{1,24}}){{1,3}}"
    rf"|[a-z0-9.+]{{1,40}}-at-[a-z0-9.]{{1,40}}(?:-dot-[a-z0-9]{{1,24}}){{1,3}}"
    rf"|{_PART}@{_LABEL}(?:(?:{_DOT}|{_WORD_DOT}|\.){_LABEL}){{0,3}}(?:{_DOT}|{_WORD_DOT})[a-z]{{2,24}}){_END}",
    re.IGNORECASE,
)
# Words with spaces are prose as well: "look at example dot org".
_WORDS = re.compile(
    rf"{_BEGIN}(?P<user>{_PART}(?:{_WORD_DOT}{_PART}){{0,3}})(?:[ ]{{1,2}}at[ ]{{1,2}}|[ ]@[ ]){_LABEL}"
    rf"(?:(?:{_WORD_DOT}|[ ]\.[ ]){_LABEL}){{0,3}}(?:{_WORD_DOT}|[ ]\.[ ]){_SITE_END}{_END}",
    re.IGNORECASE,
)
_SHOUTED_AT = re.compile(
    rf"{_BEGIN}(?P<user>[a-z0-9_](?:[\w.+-]{{0,40}}[a-z0-9_])?) AT {_LABEL}"
    rf"(?:\.{_LABEL}){{0,3}}\.{_SITE_END}{_END}"
)
_NO_USER = re.compile(
    rf"(?:{alternatives(read_words('english/function'))}|{alternatives(read_words('cues/before-sites'))}"
    r"|.{3,}(?:ed|ing))\Z",
    re.IGNORECASE,
)
_SURE = re.compile(r"[\d_.+]| dot ", re.IGNORECASE)
_HINTS = ("dot", "[at", "(at", "{at", "<at", "[@", "(@", "[ at", "( at", "punkt", " @ ", "[.", "(.")


def find_spelled_emails(text: str) -> Iterator[Finding]:
    """Find email addresses with "at" and "dot" in place of the signs, in brackets or as words."""
    small = text.lower()
    if not any(hint in small for hint in _HINTS) and " AT " not in text:
        return
    for pattern in (_BRACKETED, _JOINED):
        for found in pattern.finditer(text):
            yield Finding(found.start(), found.end(), "EMAIL_ADDRESS")
    for pattern in (_WORDS, _SHOUTED_AT):
        for found in pattern.finditer(text):
            if _SURE.search(found["user"]) or not _NO_USER.match(found["user"]):
                yield Finding(found.start(), found.end(), "EMAIL_ADDRESS")
