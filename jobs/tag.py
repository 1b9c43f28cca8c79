"""Tag a file of questions with the tagger of a run; repeat the command to tag the missing rows.

Example: python jobs/tag.py questions.jsonl --run gemma-2-2b --out tags.jsonl
"""

from __future__ import annotations

from lawtags_client.cli.script import run_script
from lawtags_client.cli.tag import tag

if __name__ == "__main__":
    run_script(tag, __doc__)
