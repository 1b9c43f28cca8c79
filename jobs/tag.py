"""Tag a file of questions with the tagger of a run; started again it does the rows that are missing.

Example: python jobs/tag.py questions.jsonl --run runs/gemma-2-2b --out tags.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lawtags_client import NeMo, tag_many
from lawtags_client.cli.session import script
from lawtags_client.runs.tag_file import tag_file
from lawtags_client.runs.tagger import load_run_tagger


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", type=Path, help="JSONL, JSON array, CSV or Parquet")
    parser.add_argument("--run", type=Path, required=True, help="folder of a run")
    parser.add_argument("--out", type=Path, required=True, help="rows; a file that is there is completed")
    parser.add_argument("--profile", help="profile of lawtags.toml")
    parser.add_argument("--unmasked", action="store_true", help="leave personal data in")
    given = parser.parse_args()
    made = load_run_tagger(given.run, unmasked=given.unmasked)
    async with NeMo.from_env(given.profile) as nemo:
        done = await tag_file(
            given.questions,
            given.out,
            lambda asked: tag_many(nemo, asked, model=made.model, tagger=made.tagger, chat=made.chat),
            options=made.texts,
        )
    print(f"{done.rows} rows, {done.failed} failed")


if __name__ == "__main__":
    script(main)
