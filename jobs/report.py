"""Rebuild the report of a run and print its path.

Example: python jobs/report.py gemma-2-2b
"""

from __future__ import annotations

from lawtags_client.cli.runs import report
from lawtags_client.cli.script import run_script

if __name__ == "__main__":
    run_script(report, __doc__)
