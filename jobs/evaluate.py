"""Have the platform's Evaluator score a served model on the test rows of a dataset.

Example: python jobs/evaluate.py law/tagger@v1 law/tags
"""

from __future__ import annotations

from lawtags_client.cli.script import run_script
from lawtags_client.cli.steps import evaluate

if __name__ == "__main__":
    run_script(evaluate, __doc__)
