from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nemo_curator", reason="needs the extra 'curate'")

from lawtags_client.curation.options import PiiOptions


def test_the_steps_work_inside_a_pipeline_of_ones_own() -> None:
    import nemo_curator
    import pandas

    from lawtags_client.curation import curator

    frame = pandas.DataFrame(
        {
            "question": [
                "<p>See §5, ask a@example.com or https://example.com " + "w " * 20 + "</p>",
                "<p>too short</p>",
                "<p>" + "again and again and again " * 20 + "</p>",
                "<p>voted down " + " ".join(f"x{n}" for n in range(20)) + "</p>",
            ],
            "score": [1.0, 1.0, None, -1.0],
        }
    )
    dataset = nemo_curator.datasets.DocumentDataset.from_pandas(frame, npartitions=2)
    pipeline = nemo_curator.Sequential(
        [
            nemo_curator.Modify(curator.HtmlToTextModifier(), text_field="question"),
            nemo_curator.Modify(curator.UnicodeModifier(), text_field="question"),
            nemo_curator.Modify(curator.CleaningModifier(), text_field="question"),
            # Two of one kind with other options, which NeMo Curator's own cannot be.
            nemo_curator.Modify(curator.PiiModifier(PiiOptions(("EMAIL_ADDRESS",))), text_field="question"),
            nemo_curator.Modify(curator.PiiModifier(PiiOptions(("URL",), "redact")), text_field="question"),
            nemo_curator.Modify(curator.SectionNumberModifier(), text_field="question"),
            nemo_curator.ScoreFilter(curator.WordCountFilter(), text_field="question", score_type=float),
            nemo_curator.ScoreFilter(curator.RepeatedNgramsFilter(), text_field="question", score_type=float),
            nemo_curator.ScoreFilter(curator.NetVotesFilter(), text_field="score", score_type=float),
        ]
    )
    kept = pipeline(dataset).df.compute(scheduler="synchronous")
    assert list(kept.index) == []  # "w w w" repeats itself


def test_a_good_row_passes_the_filters() -> None:
    import nemo_curator
    import pandas

    from lawtags_client.curation import curator

    text = "See §5, ask a@example.com or https://example.com/x about " + " ".join(f"w{n}" for n in range(20))
    dataset = nemo_curator.datasets.DocumentDataset.from_pandas(
        pandas.DataFrame({"question": [text, text.upper()]}), npartitions=1
    )
    pipeline = nemo_curator.Sequential(
        [
            nemo_curator.Modify(curator.PiiModifier(PiiOptions(("EMAIL_ADDRESS",))), text_field="question"),
            nemo_curator.Modify(curator.SectionNumberModifier(), text_field="question"),
            nemo_curator.ScoreFilter(curator.WordCountFilter(), text_field="question", score_type=float),
            nemo_curator.ScoreFilter(curator.RepeatedNgramsFilter(), text_field="question", score_type=float),
        ]
    )
    kept = list(pipeline(dataset).df.compute(scheduler="synchronous")["question"])
    assert kept[0].startswith("See § 5, ask <EMAIL_ADDRESS> or https://example.com/x about w0")
    assert len(kept) == 2


def test_a_cluster_writes_the_same_bytes(tmp_path: Path, questions: list[dict[str, Any]], write: Any) -> None:
    distributed = pytest.importorskip("distributed")
    from lawtags_client.curation import CurationOptions, curate

    options = CurationOptions(pii=PiiOptions(entities=("URL",)))
    path = write(questions)
    local = curate([path], tmp_path / "local", options)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp"
    ) as cluster:
        remote = curate(
            [path], tmp_path / "remote", options, scheduler=cluster.scheduler_address, partition_rows=20
        )
    assert remote.digest == local.digest
