"""Curate, count tokens and steps, and show the job that a run would submit.

Example: python jobs/plan.py gemma-2-2b --data questions.jsonl
"""

from __future__ import annotations

from lawtags_client.cli.plan import plan
from lawtags_client.cli.script import run_script

if __name__ == "__main__":
    run_script(plan, __doc__)
