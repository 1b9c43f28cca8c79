"""Read the word lists of masking, one file per list in the folder ``words``.

Each line is a word or a name; lines that start with ``#`` describe the list. The folders ``general``,
``legal`` and ``robotics`` are domains, of which ``pii.domains`` selects some; ``cues`` and ``english`` are
always used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources


@cache
def read_words(name: str) -> tuple[str, ...]:
    """The entries of a list, read once per process; empty if there is no such list.

    Args:
        name: folder and file without extension, such as ``"legal/terms"``.
    """
    file = resources.files(__package__).joinpath("words", *f"{name}.txt".split("/"))
    if not file.is_file():
        return ()
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def domain_words(domains: Iterable[str], *kinds: str) -> tuple[str, ...]:
    """The entries of the lists of some kinds in some domains.

    Args:
        domains: names of folders.
        kinds: names of files without extension; a domain may lack some.
    """
    return tuple(word for domain in domains for kind in kinds for word in read_words(f"{domain}/{kind}"))


def alternatives(words: Iterable[str]) -> str:
    """Join words as alternatives of a regular expression.

    Args:
        words: from :func:`read_words` or :func:`domain_words`.
    """
    return "|".join(map(re.escape, words))
