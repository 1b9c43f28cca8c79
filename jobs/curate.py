"""Curate questions into the Customizer's layout.

Example: python jobs/curate.py questions.jsonl --out curated --recipe jobs/recipes/gemma-2-2b.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lawtags_client.curation import CurationOptions, curate
from lawtags_client.runs.recipe import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", help="JSONL, JSON array, CSV, Parquet, or hf://datasets/NS/NAME")
    parser.add_argument("--out", type=Path, required=True, help="folder for the rows")
    parser.add_argument("--recipe", help="recipe whose curation section is used")
    parser.add_argument("--test", type=Path, help="labelled questions that become the testing part")
    parser.add_argument("--scheduler", help="Dask scheduler, tcp://HOST:PORT")
    given = parser.parse_args()
    options = CurationOptions.from_dict(load_recipe(given.recipe).curation if given.recipe else {})
    report = curate(given.inputs, given.out, options, test=given.test, scheduler=given.scheduler)
    for step in report.steps:
        print(f"{step.name:18} {step.rows_in:8} -> {step.rows_out:8} rows  {step.seconds:8.2f} s")


if __name__ == "__main__":
    main()
