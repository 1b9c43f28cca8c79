from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_run import HOSTILE

from lawtags_client.html_card import bar, card, table
from lawtags_client.runs.metrics import Metrics, SystemFigures
from lawtags_client.services.customizer.job import Job
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.tagging.metrics import Scores
from lawtags_client.types.customizer import CustomizationJob
from lawtags_client.types.entity_store import Dataset

EVIL = "<img src=x onerror=alert(1)>"


def job(**details: object) -> Job:
    record = {
        "id": f"cust-{EVIL}",
        "status": "running",
        "config": EVIL,
        "dataset": EVIL,
        "output_model": EVIL,
        "hyperparameters": {"finetuning_type": "lora", "epochs": 2, "batch_size": 4},
        "status_details": details,
    }
    return Job(CustomizationJob.model_validate(record), None)  # type: ignore[arg-type]


def test_a_job_shows_its_progress_and_curves_and_escapes_what_servers_say() -> None:
    series = {
        "train_loss": [{"step": 1, "value": 3.0}, {"step": 3, "value": 2.0}, {"step": None, "value": 1.0}],
        "val_loss": [{"step": 3, "value": None}],
    }
    shown = job(steps_completed=4, steps_per_epoch=8, metrics={"metrics": series})._repr_html_()
    ElementTree.fromstring(shown)
    assert EVIL not in shown and "&lt;img" in shown
    assert "step 4 of 16" in shown and "width:25.0%" in shown and "<polyline" in shown


def test_a_job_that_says_nothing_can_be_shown() -> None:
    shown = Job(CustomizationJob(id="cust-1"), None)._repr_html_()  # type: ignore[arg-type]
    ElementTree.fromstring(shown)
    assert "cust-1" in shown


def test_a_dataset_shows_its_rows() -> None:
    dataset = UploadedDataset(
        name=EVIL,
        files_url=EVIL,
        files={"training/a.jsonl": "0"},
        rows={"training": 218, EVIL: 3},
        digest="d" * 64,
        commit=None,
        sent=(),
        entity=Dataset(name="a"),
    )
    shown = dataset._repr_html_()
    ElementTree.fromstring(shown)
    assert "218 training" in shown and EVIL not in shown


def test_a_verdict_shows_its_systems_best_first() -> None:
    def figures(value: float) -> SystemFigures:
        names = [each.name for each in fields(Scores)]
        scores = dict.fromkeys(names, value) | {"rows": 9}
        return SystemFigures(**scores, intervals={"micro_f1": (value - 0.1, value + 0.1)})

    shown = Metrics(test_rows=9, systems={"base": figures(0.2), EVIL: figures(0.6)})._repr_html_()
    ElementTree.fromstring(shown)
    assert "Verdict on 9 test rows" in shown and "0.500-0.700" in shown and EVIL not in shown
    assert shown.index("&lt;img") < shown.index("base")


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 7.0])
def test_a_bar_stays_within_its_frame(share: float) -> None:
    assert f"width:{min(max(share, 0), 1) * 100:.1f}%" in bar(share)


def test_cards_and_tables_escape_everything() -> None:
    shown = card(HOSTILE, {HOSTILE: HOSTILE}, below=table([HOSTILE], [[HOSTILE]]))
    assert "<script>" not in shown


def test_the_notebook_view_is_shown_in_notebooks_only(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    from lawtags_client.errors import ConfigurationError
    from lawtags_client.notebook import NotebookProgress

    with pytest.raises(ConfigurationError, match="no notebook"):
        NotebookProgress()
