"""Upload a folder of curated rows to the platform.

Example: python jobs/upload.py curated law/tags
"""

from __future__ import annotations

from lawtags_client.cli.script import run_script
from lawtags_client.cli.steps import upload

if __name__ == "__main__":
    run_script(upload, __doc__)
