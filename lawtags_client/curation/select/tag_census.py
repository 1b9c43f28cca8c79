"""Counting tags, and proposing pairs to merge, by spelling and by co-occurrence.

Nothing here changes a tag. To accept a proposal, add it to the file of synonyms.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from lawtags_client.curation.records import MergeProposal

# Two tags share most of their letters ("tenants", "tenant"), or many letters and many co-occurring tags.
_SAME_LETTERS = 0.65
_LIKE_LETTERS = 0.45
_LIKE_COMPANY = 0.25
# Tags that are spelled differently need nearly the same co-occurring tags, and enough rows.
_SAME_COMPANY = 0.65
_ROWS_FOR_COMPANY = 10
_TAGS_SHARED = 5
_TAGS_FOR_COMPANY = 400
# Tags with the same meaning are rarely used together.
_MOST_TOGETHER = 0.2
# A trigram shared by more tags does not distinguish any.
_COMMON_TRIGRAM = 500
MOST_PROPOSALS = 50

_DIGITS = re.compile(r"\d+")
# Lowercase letters of other alphabets, and the Latin letters that they look like.
_LATIN = str.maketrans(
    "аеѕіјӏорԛсһхуԝԁɡαικνορτυχγ",
    "aesijlopqchxywdgaikvoptuxy",
)


@dataclass
class TagCensus:
    """How often each tag is used, and with which others.

    Args:
        counts: questions by tag.
        together: questions by pair of tags, in alphabetical order.
    """

    counts: Counter[str] = field(default_factory=Counter)
    together: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, tags: Iterable[str]) -> None:
        """Count the tags of one question."""
        own = sorted(set(tags))
        self.counts.update(own)
        self.together.update(combinations(own, 2))

    def rarer_than(self, least: int) -> dict[str, int]:
        """Tags on fewer questions than the limit, with their counts, in alphabetical order."""
        return {tag: count for tag, count in sorted(self.counts.items()) if count < least}


def propose_merges(census: TagCensus, most: int = MOST_PROPOSALS) -> list[MergeProposal]:
    """Pairs of tags that may have the same meaning, most likely first.

    Args:
        census: of all questions that stay.
        most: maximum number of pairs.

    Returns:
        For each pair the rarer ``tag``, the one to merge it ``into``, how many questions have the one, the
        other and both (``rows``, ``into_rows``, ``together``), how like their ``letters`` and their
        ``company`` are (0 to 1), and ``why``: looks (other letters that look the same), spelling, initials
        or company.
    """
    company = _Cooccurrence(census)
    found: list[tuple[float, MergeProposal]] = []
    letters = _alike(census.counts)
    short = _initials(census.counts)
    looks = _looking_alike(census.counts)
    for pair in {*letters, *short, *looks, *company.candidates()}:
        like, (near, shared) = letters.get(pair, 0.0), company.similarity(*pair)
        if pair in looks:
            why, weight = "looks", 2.0
        elif pair in short:
            why, weight = "initials", 0.7 + near
        elif like >= _SAME_LETTERS or (like >= _LIKE_LETTERS and near >= _LIKE_COMPANY):
            why, weight = "spelling", like + near
        elif near >= _SAME_COMPANY and shared >= _TAGS_SHARED:
            why, weight = "company", near
        else:
            continue
        tag, into = sorted(pair, key=lambda name: (census.counts[name], name))
        both = census.together[pair]
        if _numbers(tag) != _numbers(into) or both > _MOST_TOGETHER * census.counts[tag]:
            continue
        proposal: MergeProposal = {
            "tag": tag,
            "into": into,
            "rows": census.counts[tag],
            "into_rows": census.counts[into],
            "together": both,
            "letters": round(like, 3),
            "company": round(near, 3),
            "why": why,
        }
        found.append((weight, proposal))
    ranked = sorted(found, key=lambda pair: (-round(pair[0], 6), pair[1]["tag"], pair[1]["into"]))
    return [proposal for _, proposal in ranked[:most]]


class _Cooccurrence:
    """The tags that each tag occurs with, weighted by pointwise mutual information."""

    def __init__(self, census: TagCensus) -> None:
        self._counts = census.counts
        beside: dict[str, dict[str, float]] = defaultdict(dict)
        total = sum(census.together.values())
        sides: Counter[str] = Counter()
        for (first, second), count in census.together.items():
            sides[first] += count
            sides[second] += count
        for (first, second), count in sorted(census.together.items()):
            weight = math.log(2 * total * count / (sides[first] * sides[second]))
            if weight > 0:
                beside[first][second] = beside[second][first] = weight
        self._beside = dict(beside)

    def candidates(self) -> Iterable[tuple[str, str]]:
        ranked = sorted(self._beside, key=lambda tag: (-self._counts[tag], tag))
        often = [tag for tag in ranked[:_TAGS_FOR_COMPANY] if self._counts[tag] >= _ROWS_FOR_COMPANY]
        return combinations(sorted(often), 2)

    def similarity(self, first: str, second: str) -> tuple[float, int]:
        one, other = self._beside.get(first, {}), self._beside.get(second, {})
        # Their own co-occurrence does not count.
        shared = sorted((one.keys() & other.keys()) - {first, second})
        # One tag in common may be chance.
        if len(shared) < 2:
            return 0.0, len(shared)
        product = sum(one[name] * other[name] for name in shared)
        return product / math.sqrt(_square(one, second) * _square(other, first)), len(shared)


def _square(weights: Mapping[str, float], without: str) -> float:
    return sum(weight * weight for name, weight in sorted(weights.items()) if name != without)


def _alike(tags: Iterable[str]) -> dict[tuple[str, str], float]:
    """Pairs of tags that share trigrams of letters, with the share (Dice's coefficient)."""
    trigrams = {tag: _trigrams(tag) for tag in sorted(tags)}
    owners: dict[str, list[str]] = defaultdict(list)
    for tag, own in trigrams.items():
        for trigram in own:
            owners[trigram].append(tag)
    shared: Counter[tuple[str, str]] = Counter()
    for names in owners.values():
        if len(names) <= _COMMON_TRIGRAM:
            shared.update(combinations(names, 2))
    alike = {}
    for pair in shared:
        one, other = trigrams[pair[0]], trigrams[pair[1]]
        dice = 2 * len(one & other) / (len(one) + len(other))
        if dice >= _LIKE_LETTERS:
            alike[pair] = dice
    return alike


def _looking_alike(tags: Iterable[str]) -> set[tuple[str, str]]:
    """Pairs of tags that look identical."""
    owners: dict[str, list[str]] = defaultdict(list)
    for tag in sorted(tags):
        owners[tag.translate(_LATIN)].append(tag)
    return {pair for names in owners.values() for pair in combinations(names, 2)}


def _trigrams(tag: str) -> frozenset[str]:
    text = f"  {tag.replace('-', '')} "
    return frozenset(text[place : place + 3] for place in range(len(text) - 2))


def _initials(tags: Iterable[str]) -> set[tuple[str, str]]:
    """Pairs of a multiword tag and its initials."""
    known = set(tags)
    found = set()
    for tag in known:
        words = [word for word in tag.split("-") if word]
        short = "".join(word[0] for word in words)
        if len(words) > 1 and short in known:
            found.add((min(tag, short), max(tag, short)))
    return found


def _numbers(tag: str) -> list[str]:
    return _DIGITS.findall(tag)
