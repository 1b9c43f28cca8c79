"""Fine-tune on a dataset and follow the job; repeating the command finds the existing job.

Example: python jobs/customize.py law/tags --config google/gemma-2-2b@v1.0.0+80GB -m law/tagger
"""

from __future__ import annotations

from lawtags_client.cli.script import run_script
from lawtags_client.cli.steps import customize

if __name__ == "__main__":
    run_script(customize, __doc__)
