"""Isolating rows on which a step fails, so that they do not affect their neighbors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.curation.steps import Step, StepOutcome
from lawtags_client.errors import DataError, LawtagsError

if TYPE_CHECKING:
    import pandas as pd

FAILED = "the step failed"


@dataclass(frozen=True)
class IsolatedStep:
    """Wraps a step so that exactly the rows on which it fails are rejected.

    Args:
        step: the other step.
        stop: whether to fail on the first such row.
    """

    step: Step
    stop: bool = False

    @property
    def name(self) -> str:
        """That of the step."""
        return self.step.name

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        try:
            return self.step(rows)
        except (LawtagsError, MemoryError):
            # Not caused by a row.
            raise
        except Exception:
            return self._one_by_one(rows)

    def _one_by_one(self, rows: pd.DataFrame) -> StepOutcome:
        import pandas

        outcomes = [self._alone(rows.iloc[[place]]) for place in range(len(rows))]
        counts = sum((Counter(one.counts or {}) for one in outcomes), Counter[str]())
        looked_at = [one.looked_at for one in outcomes]
        return StepOutcome(
            pandas.concat([one.frame for one in outcomes]),
            [(one.dropped or [""])[0] for one in outcomes],
            [(one.detail or [""])[0] for one in outcomes],
            next((one.field for one in outcomes if one.field), ""),
            None if None in looked_at else sum(found or 0 for found in looked_at),
            counts,
        )

    def _alone(self, row: pd.DataFrame) -> StepOutcome:
        try:
            return self.step(row)
        except (LawtagsError, MemoryError):
            raise
        except Exception as error:
            # The message may quote the row.
            kind = type(error).__name__
            if self.stop:
                raise self._refusal(row, kind) from error
            return StepOutcome(row, [FAILED], [kind])

    def _refusal(self, row: pd.DataFrame, kind: str) -> DataError:
        return DataError(
            f"the step {self.name} fails on this row: {kind}",
            path=row["file"].iloc[0],
            line=int(row["line"].iloc[0]),
            hint="Skip such rows with --on-bad-row quarantine, or on_bad_row: quarantine in a recipe.",
        )
