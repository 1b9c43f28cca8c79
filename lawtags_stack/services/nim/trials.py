"""Whether deployed models can be loaded: each is loaded once before its deployment is ready."""

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
"""A model that was being loaded when the stack was killed may be the reason, so it gets one more try."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A model to be loaded.

    Args:
        key: what stands for the model's files; other files under the same name are another trial.
        served: the model.
    """

    key: str
    served: ServedEntry


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What is kept of a trial: whether the model was loaded, and how often that was begun since."""

    key: str
    loaded: bool = False
    starts: int = 0


class Trials:
    """What became of loading models. That one was loaded is kept; failures are tried again after a restart.

    Args:
        database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        codec = Codec(TrialRecord)
        self._records = Records(Documents(database, "nim_trials"), codec.read, codec.write)
        self._guard = threading.Lock()
        self._faults: dict[str, str] = {}

    def loaded(self, key: str) -> bool:
        """Whether the model was loaded before."""
        found = self._records.get(key)
        return found is not None and found.loaded

    def fault(self, key: str) -> str | None:
        """Why the model cannot be loaded; None where it can, or nobody has tried."""
        with self._guard:
            return self._faults.get(key)

    def begin(self, key: str) -> bool:
        """Note that the model is going to be loaded; False if the stack ended twice while it was."""
        found = self._records.get(key)
        starts = (found.starts if found else 0) + 1
        if starts > _STARTS:
            self._fail(key, f"The stack stopped {starts - 1} times while the model was being loaded")
            return False
        self._put(key, loaded=False, starts=starts)
        return True

    def end(self, key: str, fault: str | None) -> None:
        """Note that the model was loaded, or why it cannot be."""
        self._put(key, loaded=fault is None, starts=0)
        if fault is not None:
            self._fail(key, fault)

    def set_down(self, key: str) -> None:
        """Note that loading was interrupted in order."""
        self._put(key, loaded=False, starts=0)

    def keep(self, keys: set[str]) -> None:
        """Forget what became of models that nobody deploys now; deployed again, they are tried again."""
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
