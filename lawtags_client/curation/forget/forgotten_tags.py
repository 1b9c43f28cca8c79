"""What the data card may keep about tags and words after questions were removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lawtags_client.curation.read.columns import normalize_text
from lawtags_client.curation.records import LabelsRecord


def remaining_words(allow: Iterable[str], kept: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The words of an allow list that do not come only from removed questions.

    A word matters to masking only where it stands in a text. So a word that is on no list and in no text of
    the remaining questions can go, and their prompts stay the same.

    Args:
        allow: what was recorded, tags included.
        kept: what stays in any case: the words that the options name, and the tags that are left.
        texts: titles and bodies of the questions that are left.
    """
    recorded = set(allow)
    staying = recorded & set(kept)
    # By first word, so that each text is read once, however many words are in doubt.
    doubtful: dict[str, list[tuple[list[str], str]]] = defaultdict(list)
    for term in recorded - staying:
        if words := normalize_text(term).split():
            doubtful[words[0]].append((words, term))
    for text in texts:
        if not doubtful:
            break
        found = normalize_text(text).split()
        for place, word in enumerate(found):
            if word in doubtful:
                matching = {
                    term for words, term in doubtful[word] if found[place : place + len(words)] == words
                }
                staying |= matching
                doubtful[word] = [pair for pair in doubtful[word] if pair[1] not in matching]
    return sorted(staying)


def remaining_labels(labels: LabelsRecord, tags: Iterable[str], gone: int) -> LabelsRecord:
    """The card's record of tags, without what may come only from removed questions.

    The rows do not say which rare tags and spellings they had. So those that no more rows had than were
    removed are dropped.

    Args:
        labels: the card's ``labels``.
        tags: the tags of the rows that are left.
        gone: how many rows were removed, now and before.
    """
    rare = {tag: rows for tag, rows in labels["rare"].items() if rows > gone}
    known = {*tags, *rare}
    return {
        **labels,
        "rare": rare,
        "respelled": [row for row in labels["respelled"] if row["tag"] in known and row["rows"] > gone],
        "proposals": [row for row in labels["proposals"] if {row["tag"], row["into"]} <= known],
    }
