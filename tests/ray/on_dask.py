"""The steps on NeMo Curator 0.9, in the environment that has it; the tests compare with what this writes.

python on_dask.py QUESTIONS.jsonl RESULTS.json
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from steps import COLUMNS, OPTIONS, filters, modifiers, plain

warnings.simplefilter("ignore")


def main(source: Path, results: Path) -> None:
    import dask.dataframe
    import nemo_curator
    import pandas
    from nemo_curator import Modify, ScoreFilter, Sequential

    from lawtags_client.curation import curator
    from lawtags_client.curation.curator import DocumentDataset, RecordedStep
    from lawtags_client.curation.step_choice import plan_steps

    frame = pandas.read_json(source, lines=True, dtype=False, convert_dates=False)

    def computed(pipeline: Any) -> list[dict[str, Any]]:
        dataset = DocumentDataset(dask.dataframe.from_pandas(frame, npartitions=3))
        return plain(pipeline(dataset).df.compute(scheduler="synchronous"))

    modified = computed(
        Sequential([Modify(modifier, text_field=field) for field, modifier in modifiers(curator)])
    )
    kept = computed(
        Sequential([ScoreFilter(one, text_field=field, score_type=float) for field, one in filters(curator)])
    )
    recorded = computed(Sequential([RecordedStep(step) for step in plan_steps(OPTIONS)]))
    results.write_text(
        json.dumps(
            {
                "version": nemo_curator.__version__,
                "modified": [
                    {name: row[name] for name in ("question_id", "title", "body")} for row in modified
                ],
                "kept": [row["question_id"] for row in kept],
                "recorded": [{name: row[name] for name in COLUMNS} for row in recorded],
            }
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
