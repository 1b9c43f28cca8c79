"""Carry a recipe from raw questions to a verdict; started again it goes on where it stopped.

The folder of a run that holds results is not given to other inputs: name another one with --run.

Example: python jobs/pipeline.py gemma-2-2b --data questions.jsonl --run runs/gemma
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from lawtags_client import NeMo
from lawtags_client.cli.session import script
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.v1 import V1Platform, service_addresses
from lawtags_client.runs.outputs import EvaluateOutput
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import load_recipe
from lawtags_client.runs.run import execute
from lawtags_client.runs.verdict import require_verdict


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a recipe file, or the name of a bundled one")
    parser.add_argument("--data", nargs="+", required=True, help="labeled questions")
    parser.add_argument("--test", type=Path, help="labeled questions to use as the test set")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--profile", help="profile of lawtags.toml")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The run's own ledger remembers what was submitted, so that its folder alone is enough to resume.
    intents = SqliteIntents(given.run / "ledger.sqlite")
    async with NeMo.from_env(given.profile, intents=intents) as nemo:
        result = await execute(
            folder=given.run,
            recipe=load_recipe(given.recipe),
            data=given.data,
            test=given.test,
            platform=V1Platform(nemo),
            progress=LoggedProgress(),
            profile=given.profile,
            services=service_addresses(nemo.settings),
        )
    print(result.folder / "report.html")
    require_verdict(result.left(EvaluateOutput))


if __name__ == "__main__":
    script(main)
