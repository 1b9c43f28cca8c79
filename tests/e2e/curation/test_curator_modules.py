from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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


def test_a_table_of_ones_own_goes_through_the_steps_and_bad_rows_stay_marked() -> None:
    import dask.dataframe
    import pandas

    from lawtags_client.curation import curator, steps

    frame = pandas.DataFrame(
        {
            "question_title": ["Is &lt;it&gt; legal?", None, "And this?"],
            "question_body": ["<p>See §5</p>", "<p>x</p>", None],
            "tags": [["a"], ["b"], []],
            "other": [1, 2, 3],
        }
    )
    dataset = curator.DocumentDataset(dask.dataframe.from_pandas(frame, npartitions=1))
    pipeline = curator.Sequential(
        [curator.RecordedStep(step) for step in (steps.CompleteLabels(), steps.HtmlToText())]
    )
    done = pipeline(dataset).df.compute(scheduler="synchronous")
    assert done["title"].tolist() == ["Is <it> legal?", "", "And this?"]
    assert done["rejected_by"].tolist() == ["", "read", "complete_labels"]
    assert (done["reason"][1], done["field"][1]) == ("is null", "question_title")
    assert done["other"].tolist() == [1, 2, 3]


def test_workers_need_not_import_nemo_curator(tmp_path: Path, questions: list[dict[str, Any]]) -> None:
    import cloudpickle

    from lawtags_client.curation import CurationOptions
    from lawtags_client.curation.execution import _tasks
    from lawtags_client.curation.step_choice import plan_steps

    rows = [
        {
            "row": number,
            "title": row["question_title"],
            "body": row["question_body"],
            "tags": row["tags"],
            "test": False,
        }
        for number, row in enumerate(questions)
    ]
    from lawtags_client.curation.staging import WorkFolder

    work = WorkFolder(tmp_path / ".curation" / "x")
    work.write_read(rows, 0)
    options = CurationOptions(pii=PiiOptions(entities=("URL",)))
    (task,) = _tasks(plan_steps(options), work.text, [0], 1).values()
    sent = cloudpickle.dumps(task.__dask_graph__())
    assert b"run_step" in sent
    assert b"nemo_curator" not in sent
    assert b"lawtags_client.curation.curator" not in sent
