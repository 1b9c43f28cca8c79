"""Taking over the curated rows of a plan, so that a run does not curate them a second time."""

from __future__ import annotations

import shutil
from pathlib import Path

from lawtags_client.errors import BusyError
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock

_LEDGER = "ledger.sqlite"
_CURATED = "curated"


def take_over_curation(plan: Path, run: Path) -> None:
    """Copy what a plan has curated, and its identity, into the folder of a run that has not begun.

    Nothing is trusted: the run recognises the rows by their inputs and digests, and curates again where they
    are not its own.

    Args:
        plan: the folder of the plan, if there is one.
        run: the folder of the run.
    """
    if not (plan / _LEDGER).is_file() or (run / _LEDGER).exists() or (run / _CURATED).exists():
        return
    try:
        with run_lock(plan):
            planned = Ledger(plan / _LEDGER)
            done = planned.finished("curate")
            if done is None:
                return
            # The run becomes what the plan has shown, with its identity; the next plan has another one. Taken
            # from the plan first: two runs with one identity would share a job.
            run_id = RunFacts.read(planned).run_id
            planned.set_fact("run_id", None)
            copied = run / f".{_CURATED}"
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(plan / _CURATED, copied)
    except BusyError:
        # The plan is at work, perhaps on other rows.
        return
    copied.rename(run / _CURATED)
    ledger = Ledger(run / _LEDGER)
    if run_id is not None:
        ledger.set_fact("run_id", run_id)
    ledger.begin("curate", done.digest)
    ledger.finish("curate", done.output, code=done.code)
