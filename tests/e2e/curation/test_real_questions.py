from __future__ import annotations

import os
from pathlib import Path

import pytest

from lawtags_client.curation import CurationOptions, PiiOptions, curate

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("LAWTAGS_DATA", ROOT.parent / "shared" / "data"))

pytestmark = pytest.mark.data

# (rows in, rows out) of the steps that drop rows; the bodies of the last file are HTML.
EXPECTED = {
    "law-se-bodies-dev.jsonl": {
        "complete_labels": (1766, 634),
        "word_count": (634, 628),
        "votes": (628, 613),
        "repeated_ngrams": (613, 613),
    },
    "law-se-dev.jsonl": {"complete_labels": (5442, 5442), "word_count": (5442, 5442)},
    "robotics-se-dev.jsonl": {"complete_labels": (2368, 2368), "word_count": (2368, 2357)},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_questions_are_curated(name: str, tmp_path: Path) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"there are no real questions in {DATA}; set LAWTAGS_DATA")
    # Without the model of names, which takes most of the time.
    options = CurationOptions(pii=PiiOptions(entities=("EMAIL_ADDRESS", "PHONE_NUMBER", "URL")))
    report = curate([path], tmp_path, options)
    steps = {step.name: (step.rows_in, step.rows_out) for step in report.steps}
    assert EXPECTED[name].items() <= steps.items()
    assert sum(report.splits.values()) == report.steps[-1].rows_out > 600
    assert not report.bad_rows
    refused = sum(sum(reasons.values()) for reasons in report.rejected.values())
    assert refused + sum(report.splits.values()) == report.inputs[0]["rows"]
    written = (tmp_path / "questions" / "training.jsonl").read_text(encoding="utf-8")
    assert "https://" not in written.replace('"link": "https://', "")
