"""What a run found over repeated splits, as records; content of ``repeats.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.files import sha256_file
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.metrics import FILE as METRICS
from lawtags_client.runs.metrics import JudgedGate
from lawtags_client.runs.recipe import RepeatedSystems
from lawtags_client.runs.verdict import COMPARED

FILE = "repeats.json"
FOLDER = "repeats"
"""The folder of the repeats, in the folder of a run."""
FEW_TEST_ROWS = 500
"""With fewer test rows than this, a verdict on one split points to ``evaluation.repeats``."""

Varied = Literal["split", "training split", "seeds"]
"""What differs between repeats.

``split``: the rows of all parts. ``training split``: training and validation rows, beside a test file.
``seeds``: no rows, since there is only one split by time.
"""

_VARIED = {
    "split": "{count} splits",
    "training split": "{count} splits into training and validation rows, with the same test rows",
    "seeds": "{count} trainings with different seeds, on the one split by time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedFigure:
    """A figure over all repeats.

    Args:
        values: in each repeat; the first one is the run's own.
        mean: of them.
        low: end of the 95 % interval of the mean.
        high: end of the 95 % interval of the mean.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a figure without values")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedDifference(RepeatedFigure):
    """A paired difference of two systems over all repeats.

    Args:
        a: one system.
        b: the other.
        metric: the figure.
        reading: ``better``, ``worse`` or ``not shown``.
    """

    a: str
    b: str
    metric: str
    reading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedVerdict:
    """The verdict over all repeats.

    Args:
        schema_version: of the file.
        repeats: how many there are, the run's own split included.
        repeated_systems: ``local`` or ``all``.
        varied: what differs between repeats.
        seeds: the split seed of each repeat.
        test_rows: of each repeat.
        correlation: assumed between the figures of two repeats: the share of rows that are held out.
        systems: the figures by system and metric.
        differences: of the best system of each kind from the others.
        not_repeated: systems of the run that are not in every repeat.
        gates: what came of the recipe's gates over all repeats; none in verdicts of older releases.
        metrics_sha256: of the verdict on the run's own split, which is the first repeat.
    """

    schema_version: int = 1
    repeats: int
    repeated_systems: RepeatedSystems
    varied: Varied
    seeds: tuple[int, ...]
    test_rows: tuple[int, ...]
    correlation: float
    systems: dict[str, dict[str, RepeatedFigure]]
    differences: tuple[RepeatedDifference, ...]
    not_repeated: tuple[str, ...] = ()
    gates: tuple[JudgedGate, ...] = ()
    metrics_sha256: str

    def __post_init__(self) -> None:
        for name, figures in self.systems.items():
            if missing := set(COMPARED) - set(figures):
                raise ValueError(f"{name} lacks {', '.join(sorted(missing))}")

    @property
    def ranked(self) -> list[tuple[str, dict[str, RepeatedFigure]]]:
        """The systems, the best first."""
        return sorted(self.systems.items(), key=lambda item: -item[1]["micro_f1"].mean)

    def as_json(self) -> dict[str, object]:
        """As it stands in the file."""
        return asdict(self)

    @property
    def unit(self) -> str:
        """What one repeat is, in a word."""
        return "training" if self.varied == "seeds" else "split"

    @property
    def counted(self) -> str:
        """How many repeats there are, in words."""
        return f"{self.repeats} {self.unit}s"

    @property
    def headline(self) -> str:
        """How often what was repeated, and the best system, in one sentence."""
        what = _VARIED[self.varied].format(count=self.repeats)
        if not self.systems:
            return f"Over {what}: no system has a verdict in each of them."
        name, figures = self.ranked[0]
        best = figures["micro_f1"]
        span = f"{min(best.values):.3f} to {max(best.values):.3f}"
        return (
            f"Over {what}: {name} is best on average, with micro F1 {best.mean:.3f} "
            f"[{best.low:.3f}, {best.high:.3f}] (single {self.unit}s: {span})."
        )

    @property
    def sentences(self) -> list[str]:
        """The comparisons in words, and what was not repeated."""
        pairs: dict[tuple[str, str], list[str]] = {}
        for row in self.differences:
            pairs.setdefault((row.a, row.b), []).append(
                f"{row.metric.replace('_f1', ' F1')} {row.mean:+.3f} "
                f"[{row.low:+.3f}, {row.high:+.3f}] {_in_words(row.reading)}"
            )
        said = [f"{a} against {b}: {'; '.join(parts)}" for (a, b), parts in pairs.items()]
        if self.not_repeated:
            names = ", ".join(self.not_repeated)
            why = (
                "without a training job for each repeat (evaluation.repeated_systems: all), "
                "figures that ask a language model are those of one split"
                if self.repeated_systems == "local"
                else "they have no verdict in some of the repeats"
            )
            said.append(f"not repeated: {names}; {why}")
        return said


def find_repeats(folder: Path) -> RepeatedVerdict | None:
    """The verdict of a run over repeated splits; None if it has none that belongs to its ``metrics.json``.

    Raises:
        DataError: the file is damaged.
    """
    if not (folder / FILE).is_file() or not (folder / METRICS).is_file():
        return None
    # Only a run with repeats writes it again.
    hint = "Run the recipe again with evaluation.repeats, or remove this file."
    found = read_document(RepeatedVerdict, folder, FILE, hint=hint)
    return found if found.metrics_sha256 == sha256_file(folder / METRICS) else None


def one_split_in_words(test_rows: int, repeats: RepeatedVerdict | None) -> list[str]:
    """What the intervals of one split leave out, where that matters."""
    if repeats is not None or test_rows >= FEW_TEST_ROWS:
        return []
    return [
        f"The intervals cover the sampling of these {test_rows} test rows, not the luck of split and "
        "training. To judge four more splits, add --set evaluation.repeats=5."
    ]


def _in_words(reading: str) -> str:
    return "no difference shown" if reading == "not shown" else reading
