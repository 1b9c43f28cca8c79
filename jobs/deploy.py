"""Deploy a merged or fully tuned model and wait until it is ready.

Example: python jobs/deploy.py law/tagger@v2 --image nvcr.io/nim/nvidia/llm-nim:1.13
"""

from __future__ import annotations

from lawtags_client.cli.script import run_script
from lawtags_client.cli.steps import deploy

if __name__ == "__main__":
    run_script(deploy, __doc__)
