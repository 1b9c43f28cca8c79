"""Curate questions into the Customizer's layout.

Example: python jobs/curate.py questions.jsonl --out curated --recipe gemma-2-2b
"""

from __future__ import annotations

from lawtags_client.cli.curate import curate
from lawtags_client.cli.script import run_script

if __name__ == "__main__":
    run_script(curate, __doc__)
