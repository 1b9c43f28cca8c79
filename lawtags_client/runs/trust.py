"""Whether the probabilities of a run's systems can be trusted, and what abstaining by them gains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.runs.probabilities import SystemProbabilities
from lawtags_client.runs.recipe import EvaluationSection
from lawtags_client.tagging.abstention import CoveragePoint, coverage_curve
from lawtags_client.tagging.calibration import Calibration, measure_calibration

if TYPE_CHECKING:
    from lawtags_client.runs.metrics import Metrics

# Coverages that people choose from.
_SHOWN_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Calibration and coverage by system; see ``Metrics``."""

    calibration: dict[str, Calibration]
    coverage: dict[str, tuple[CoveragePoint, ...]]


def measure_trust(
    truth: Sequence[frozenset[str]],
    given: Mapping[str, Sequence[frozenset[str]]],
    probabilities: Mapping[str, SystemProbabilities],
    options: EvaluationSection,
) -> Trust:
    """Measure every system that has probabilities.

    Args:
        truth: the true tags of each test row.
        given: the tags that each system gave, in the same order.
        probabilities: by system, of the test rows or of a sample of them.
        options: how to resample.

    Raises:
        DataError: the probabilities are of other rows.
    """
    resampling = {"samples": options.bootstrap, "seed": options.seed}
    calibration, coverage = {}, {}
    for system, found in probabilities.items():
        if len(found.rows) and not 0 <= int(found.rows.min()) <= int(found.rows.max()) < len(truth):
            raise DataError(
                f"the probabilities of {system} are not those of the {len(truth)} test rows",
                hint="Run the recipe again to rebuild them.",
            )
        true = [truth[row] for row in found.rows]
        calibration[system] = measure_calibration(found.scores, found.tags, true, **resampling)
        coverage[system] = coverage_curve(
            true,
            [given[system][row] for row in found.rows],
            found.scores.max(axis=1, initial=0),
            abstained_below=options.abstain_below or 0.0,
            **resampling,
        )
    return Trust(calibration=calibration, coverage=coverage)


def calibration_in_words(metrics: Metrics, systems: Collection[str] | None = None) -> list[str]:
    """One sentence per system on its calibration; nothing in verdicts of older releases.

    Args:
        metrics: the verdict.
        systems: those to describe; None for all.
    """
    return [
        f"{system}: {_sentence(found)}"
        for system, found in metrics.calibration.items()
        if systems is None or system in systems
    ]


def coverage_to_choose_from(metrics: Metrics, system: str) -> list[CoveragePoint]:
    """For each tenth of the rows, the point of a system's curve that answers at least that many."""
    points = metrics.coverage.get(system, ())
    chosen: list[CoveragePoint] = []
    for share in _SHOWN_SHARES:
        above = [point for point in points if point.coverage >= share - 0.02]
        if above and above[-1] not in chosen:
            chosen.append(above[-1])
    return [*points[:1], *(point for point in chosen if point != points[0])]


def calibration_reading(found: Calibration) -> str:
    """What a calibration error says, in a few words."""
    if found.ece is None or found.ece_interval is None:
        return f"no probability reaches {found.least_probability:g}"
    if found.ece_interval[0] == 0:
        return "no error shown"
    over = found.overconfidence or 0.0
    # As large as the error itself if all bins deviate to the same side.
    if abs(over) <= found.ece / 2:
        return "too high and too low"
    return "too high" if over > 0 else "too low"


def _sentence(found: Calibration) -> str:
    reading = calibration_reading(found)
    if found.ece is None or found.ece_interval is None or found.ece_by_chance is None:
        return reading
    low, high = found.ece_interval
    return (
        f"expected calibration error {found.ece:.3f} [{low:.3f}, {high:.3f}] of probabilities from "
        f"{found.least_probability:g}; exact ones would have {found.ece_by_chance:.3f} by chance: {reading}"
    )
