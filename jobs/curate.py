"""Curate questions into the Customizer's layout.

Example: python jobs/curate.py questions.jsonl --out curated --recipe gemma-2-2b
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lawtags_client.cli.session import script
from lawtags_client.curation import CurationOptions, curate
from lawtags_client.runs.recipe import load_recipe
from lawtags_client.runs.tokens import token_counter


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", help="JSONL, JSON array, CSV, Parquet, or hf://datasets/NS/NAME")
    parser.add_argument("--out", type=Path, required=True, help="folder for the rows")
    parser.add_argument("--recipe", help="recipe whose curation section is used")
    parser.add_argument("--test", type=Path, help="labeled questions to use as the test set")
    parser.add_argument("--scheduler", help="Dask scheduler, tcp://HOST:PORT")
    given = parser.parse_args()
    recipe = load_recipe(given.recipe) if given.recipe else None
    counter = token_counter(recipe.model.tokenizer if recipe else None)
    report = curate(
        given.inputs,
        given.out,
        CurationOptions.from_dict(recipe.curation if recipe else {}),
        test=given.test,
        scheduler=given.scheduler,
        count_tokens=counter.count if counter.exact else None,
        tokenizer=counter.identity if counter.exact else None,
    )
    for step in report.steps:
        print(f"{step.name:18} {step.rows_in:8} -> {step.rows_out:8} rows  {step.seconds:8.2f} s")


if __name__ == "__main__":
    script(main)
