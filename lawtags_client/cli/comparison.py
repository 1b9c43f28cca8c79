"""Prints runs side by side."""

from __future__ import annotations

from lawtags_client.cli.session import Session
from lawtags_client.runs.comparison import ComparedFigure, PairedRuns, RunComparison
from lawtags_client.runs.verdict import reading_of

_SHOWN_IDS = 10


def print_comparison(session: Session, found: RunComparison) -> None:
    """Print the figures of all runs, then each run against the first one.

    Args:
        session: the command.
        found: the comparison.
    """
    session.table(
        ("system", "metric", *found.runs),
        [(row.system, row.metric.replace("_", " "), *_values(row)) for row in found.figures],
        title=f"In brackets: difference to {found.runs[0]}",
    )
    session.table(
        (
            "run",
            "system",
            "micro F1, difference [95 %]",
            "reading",
            "won",
            "lost",
            "unchanged",
            "McNemar's p",
        ),
        [_paired(row) for row in found.paired],
        title=f"Difference to {found.runs[0]} on the same questions",
        optional=("unchanged",),
    )
    for row in found.paired:
        if row.system == found.paired[0].system:
            for kind, ids in (("won", row.won), ("lost", row.lost)):
                if ids:
                    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
                    shown = ", ".join(ids[:_SHOWN_IDS])
                    session.say(f"{row.run}, {row.system}, questions {kind}: {shown}{more}")
    if found.settings:
        session.table(
            ("differs", *found.runs), [(each.key, *each.values) for each in found.settings], title="Settings"
        )
    for line in found.lost:
        session.say(line)
    others = [name for name, same in zip(found.runs, found.same_test_rows, strict=True) if not same]
    if others:
        session.say(
            f"The runs have different test rows ({', '.join(others)}, not those of {found.runs[0]}): "
            "their figures are not directly comparable."
        )


def _values(row: ComparedFigure) -> list[str | None]:
    first, *others = row.values
    return [
        _figure(first),
        *(
            None if value is None else f"{value:.3f}" + ("" if change is None else f" ({change:+.3f})")
            for value, change in zip(others, row.differences[1:], strict=True)
        ),
    ]


def _paired(row: PairedRuns) -> tuple[str, ...]:
    return (
        row.run,
        row.system,
        f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]",
        reading_of(row.reading),
        str(len(row.won)),
        str(len(row.lost)),
        str(row.unchanged),
        f"{row.p_value:.3g}",
    )


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
