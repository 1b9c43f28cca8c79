"""Trial loads: each deployed model is loaded once before its deployment is ready."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_stack.store import Documents, Records
from lawtags_stack.store.codec import Codec

if TYPE_CHECKING:
    from lawtags_stack.services.nim.records import ServedEntry
    from lawtags_stack.store import Database

_STARTS = 2
"""A model that was loading when the stack was killed may be the cause, so it gets only one more attempt."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A model to load.

    Args:
        key: identifies the model's files; other files under the same name are another trial.
        served: the model.
    """

    key: str
    served: ServedEntry


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A stored trial: whether the model was loaded, and the number of attempts since."""

    key: str
    loaded: bool = False
    starts: int = 0


class Trials:
    """The outcomes of trial loads. Successes are stored; failures are retried after a restart.

    Args:
        database: stores the outcomes.
    """

    def __init__(self, database: Database) -> None:
        codec = Codec(TrialRecord)
        self._records = Records(Documents(database, "nim_trials"), codec.read, codec.write)
        self._guard = threading.Lock()
        self._faults: dict[str, str] = {}

    def loaded(self, key: str) -> bool:
        """Whether the model was ever loaded."""
        found = self._records.get(key)
        return found is not None and found.loaded

    def fault(self, key: str) -> str | None:
        """Why the model cannot be loaded; None if it can, or was not tried."""
        with self._guard:
            return self._faults.get(key)

    def begin(self, key: str) -> bool:
        """Record that loading starts; False if the stack has already died twice during it."""
        found = self._records.get(key)
        starts = (found.starts if found else 0) + 1
        if starts > _STARTS:
            self._fail(key, f"The stack stopped {starts - 1} times while the model was being loaded")
            return False
        self._put(key, loaded=False, starts=starts)
        return True

    def end(self, key: str, fault: str | None) -> None:
        """Record that the model was loaded, or why it cannot be."""
        self._put(key, loaded=fault is None, starts=0)
        if fault is not None:
            self._fail(key, fault)

    def interrupted(self, key: str) -> None:
        """Record that loading was interrupted by an orderly stop."""
        self._put(key, loaded=False, starts=0)

    def keep(self, keys: set[str]) -> None:
        """Drop the outcomes of models that are no longer deployed; redeployed ones are tried again."""
        with self._guard:
            self._faults = {key: fault for key, fault in self._faults.items() if key in keys}
        for found in self._records:
            if found.key not in keys:
                self._records.delete(found.key)

    def _put(self, key: str, *, loaded: bool, starts: int) -> None:
        self._records.put(key, TrialRecord(key, loaded, starts))

    def _fail(self, key: str, fault: str) -> None:
        with self._guard:
            self._faults[key] = fault
