"""Run a recipe from raw questions to a verdict; repeat the command to resume.

Example: python jobs/pipeline.py gemma-2-2b --data questions.jsonl --name gemma
"""

from __future__ import annotations

from lawtags_client.cli.run import run
from lawtags_client.cli.script import run_script

if __name__ == "__main__":
    run_script(run, __doc__)
