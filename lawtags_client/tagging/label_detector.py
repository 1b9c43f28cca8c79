"""Learns to tell wrong tags from given ones, with wrong tags that it plants itself.

Which probability is too low for a true tag depends on the data: rare tags, and tags that the text does not
show, look wrong everywhere. So the detector replaces given tags by others and fits a logistic regression that
tells these from the given ones. A row is judged by a regression that has not seen it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.logistic import fit_towards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Flags, Floats, Integers

    Columns: TypeAlias = list[NDArray[np.float64]]

_FOLDS = 5
_PENALTY = 1.0
_CHUNK = 2048
# Planted tags per row: more make the fit steadier, which only few rows need.
_PLANTED, _FEW_ROWS = 10, 5000
# A wrong tag may be any: this share of the planted ones is drawn from all alike, the rest by frequency.
_ALIKE = 0.3
_SMOOTHING = 0.3
# As many rows' worth of the mean tag are mixed into what is known of a tag.
_SHRINKAGE = 3.0


@dataclass(frozen=True)
class _Pairs:
    """Pairs of row and tag to judge.

    Args:
        row: of each pair.
        tag: of each pair.
        removed: the tag that the pair's tag replaces; -1 where it is a given one.
    """

    row: Integers
    tag: Integers
    removed: Integers

    def chunks(self) -> Iterator[_Pairs]:
        for start in range(0, len(self.row), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield _Pairs(self.row[part], self.tag[part], self.removed[part])


def doubts(labels: Flags, evidence: Mapping[str, Floats], *, seed: int = 0) -> Floats:
    """How much the evidence speaks against each given tag, as log-odds; -inf where a tag is not given.

    They are those that hold if wrong tags were as frequent as right ones.

    Args:
        labels: whether a row has a tag, rows by tags; at least one in each row.
        evidence: source to log-odds of the tags, rows by tags, by models that have not seen the row.
        seed: decides what is planted, and the folds.
    """
    generator = np.random.default_rng(seed)
    row, tag = np.nonzero(labels)
    given = _Pairs(row, tag, np.full(len(row), -1))
    planted = _plant(labels, given, generator)
    found = np.full(labels.shape, -np.inf)
    if not len(planted.row):
        return found
    features = _Features(labels, evidence)
    real, false = features.of(given), features.of(planted)
    columns = np.concatenate([real, false])
    scale = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(scale > 0, scale, 1)
    columns = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    wrong = np.arange(len(columns)) >= len(real)
    rows = np.concatenate([given.row, planted.row])
    fold = (generator.permutation(len(labels)) % _FOLDS)[rows]
    for held in range(_FOLDS):
        fitted, judged = fold != held, np.flatnonzero((fold == held)[: len(real)])
        if not wrong[fitted].any():
            # Of few rows, one fold may have all that was planted. Nothing is known of its own tags then.
            continue
        weights = fit_towards(
            columns[fitted], wrong[fitted], np.zeros(columns.shape[1]), penalty=_PENALTY, steps=20
        )
        balance = np.log(wrong[fitted].sum() / (~wrong[fitted]).sum())
        found[row[judged], tag[judged]] = columns[judged] @ weights - balance
    return found


def row_doubts(doubt: Floats) -> Floats:
    """How much speaks against any of a row's tags, as log-odds: their odds are added.

    Args:
        doubt: what ``doubts`` returns, with at least one given tag in each row.
    """
    return np.asarray(np.logaddexp.reduce(doubt, axis=1))


def _plant(labels: Flags, given: _Pairs, generator: np.random.Generator) -> _Pairs:
    """Pairs of a row and a tag that it does not have, in place of one that it has."""
    counts = labels.sum(axis=0)
    times = _PLANTED if len(labels) < _FEW_ROWS else 1
    sizes = labels.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rows = np.repeat(np.flatnonzero(sizes), times)
    removed = given.tag[starts[rows] + (generator.random(len(rows)) * sizes[rows]).astype(int)]
    drawn = _ALIKE * (counts > 0) / (counts > 0).sum() + (1 - _ALIKE) * counts / counts.sum()
    tags = generator.choice(len(counts), len(rows), p=drawn)
    kept = ~labels[rows, tags]
    return _Pairs(rows[kept], tags[kept], removed[kept])


class _Features:
    """What the detector sees of a pair, without the pair's own label."""

    def __init__(self, labels: Flags, evidence: Mapping[str, Floats]) -> None:
        self._labels = labels
        self._evidence = [_Source.of(np.asarray(scores, np.float64), labels) for scores in evidence.values()]
        ones = labels.astype(np.float32)
        self._counts = ones.sum(axis=0).astype(np.float64)
        together = ones.T @ ones
        np.fill_diagonal(together, 0)
        self._together = together

    def of(self, pairs: _Pairs) -> NDArray[np.float64]:
        """Pairs by features."""
        return np.concatenate([self._chunk(chunk) for chunk in pairs.chunks()])

    def _chunk(self, pairs: _Pairs) -> NDArray[np.float64]:
        place, own = np.arange(len(pairs.row)), pairs.removed < 0
        given = self._labels[pairs.row]
        given[place[~own], pairs.removed[~own]] = False
        given[place, pairs.tag] = True
        others = given.copy()
        others[place, pairs.tag] = False
        size = others.sum(axis=1)
        # A planted tag is not in the counts, so a given one must not be, either.
        count = self._counts[pairs.tag] - own
        prior = np.log((count + 0.5) / len(self._labels))
        # A tag that no other row has, or only one, behaves unlike what its frequency suggests.
        columns = [prior, count == 0, count == 1, np.log1p(size), size == 0]
        columns += self._company(pairs.tag, others, count, own)
        for source in self._evidence:
            columns += self._support(source.scores[pairs.row], pairs.tag, given, others, prior)
            columns += source.visibility(pairs, own)
        return np.asarray(np.stack(columns, axis=1), dtype=np.float64)

    def _company(self, tag: Integers, others: Flags, count: Floats, own: Flags) -> Columns:
        """How often the tag stands beside the row's other tags against chance: mean, most, least; if ever."""
        seen = self._together[tag] - (others & own[:, None])
        chance = (count[:, None] + _SMOOTHING) * self._counts / len(self._labels)
        surprise = np.log((seen + _SMOOTHING) / (chance + _SMOOTHING))
        alone = ~others.any(axis=1)
        mean = (surprise * others).sum(axis=1) / np.maximum(1, others.sum(axis=1))
        most = np.where(others, surprise, -np.inf).max(axis=1)
        least = np.where(others, surprise, np.inf).min(axis=1)
        met = (seen * others).any(axis=1)
        return [mean, np.where(alone, 0, most), np.where(alone, 0, least), met]

    def _support(self, scores: Floats, tag: Integers, given: Flags, others: Flags, prior: Floats) -> Columns:
        """What one source says of the tag, of its rivals, and of the row's other tags."""
        own = scores[np.arange(len(tag)), tag]
        absent = np.where(given, -np.inf, scores)
        lowest = scores.min(axis=1)
        best = np.maximum(absent.max(axis=1), lowest)
        rank = np.log1p((absent > own[:, None]).sum(axis=1))
        rest = (scores * others).sum(axis=1) / np.maximum(1, others.sum(axis=1))
        return [own, own - prior, rank, best, np.where(others.any(axis=1), rest, 0)]


@dataclass(frozen=True)
class _Source:
    """What one source says, and how well it sees each tag.

    Some tags hardly show in a text, such as the country that its author lives in: their true rows score
    little higher than others, so a low score says little about them.

    Args:
        scores: log-odds, rows by tags.
        height: the same, in standard deviations above the rows without the tag.
        total: of the heights of each tag's rows.
        mean: height of all given tags.
        counts: rows of each tag.
    """

    scores: NDArray[np.float64]
    height: NDArray[np.float64]
    total: NDArray[np.float64]
    mean: float
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], labels: Flags) -> _Source:
        absent = ~labels
        number = np.maximum(1, absent.sum(axis=0))
        middle = (scores * absent).sum(axis=0) / number
        spread = np.sqrt((((scores - middle) ** 2) * absent).sum(axis=0) / number)
        height = (scores - middle) / np.where(spread > 0, spread, 1)
        total = (height * labels).sum(axis=0)
        counts = labels.sum(axis=0).astype(np.float64)
        return cls(scores, height, total, float(total.sum() / counts.sum()), counts)

    def visibility(self, pairs: _Pairs, own: Flags) -> Columns:
        """The height, that of the tag's other rows, and how much likelier these make it, as log-odds."""
        height = self.height[pairs.row, pairs.tag]
        others = self.counts[pairs.tag] - own
        usual = (self.total[pairs.tag] - own * height + _SHRINKAGE * self.mean) / (others + _SHRINKAGE)
        return [height, usual, usual * height - usual**2 / 2]
