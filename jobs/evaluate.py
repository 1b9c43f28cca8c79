"""Have the platform's Evaluator score a served model on a file of rows.

Example: python jobs/evaluate.py law/tagger@v1 hf://datasets/law/questions/testing/testing.jsonl
"""

from __future__ import annotations

import argparse

from lawtags_client import NeMo
from lawtags_client.cli.session import script
from lawtags_client.platform import EvaluationIntent
from lawtags_client.platform.v1 import V1Platform


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a served model")
    parser.add_argument("files_url", help="rows of prompt and completion on the platform")
    parser.add_argument("--namespace", default="default", help="where the evaluation goes")
    parser.add_argument("--limit", type=int, default=200, help="at most so many rows")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds")
    parser.add_argument("--profile", help="profile of lawtags.toml")
    given = parser.parse_args()
    intent = EvaluationIntent(
        key=f"{given.model} {given.files_url} {given.namespace} {given.limit}",
        model=given.model,
        files_url=given.files_url,
        namespace=given.namespace,
        limit=given.limit,
    )
    async with NeMo.from_env(given.profile) as nemo:
        found = await V1Platform(nemo).evaluate(intent, timeout=given.timeout)
    if found.scored is not None:
        # Fewer than there are in the file, up to the limit: the requests of the others failed.
        print(f"{'rows scored':24} {found.scored}")
    for name, value in found.scores.items():
        print(f"{name:24} {value:.4f}")


if __name__ == "__main__":
    script(main)
