"""The row that a plan shows is the one that the trainer learns from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import make_tokenizer

from lawtags_client.runs.planning.rendered_row import render_row
from lawtags_stack.engines.training.examples import RowEncoder
from lawtags_stack.engines.training.model import load_tokenizer
from lawtags_stack.engines.training.rows import TrainingRow

ROWS = [
    {"prompt": "Title: Is a verbal lease binding?\nTags:", "completion": "landlord, contract-law"},
    {"prompt": "Title: Über § 5 – 中文 🙂\nTags:", "completion": "übersetzung"},
    {"prompt": "Title: a\nTags: ", "completion": " x"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer(folder)
    return folder


@pytest.mark.parametrize("most", [512, 12, 6, 2])
@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_loss_is_shown_where_the_trainer_has_it(row: dict[str, str], most: int, model: Path) -> None:
    encoder = RowEncoder(load_tokenizer(model), prompt_template="{prompt} {completion}", max_seq_length=most)
    (example,) = encoder.encode([TrainingRow("rows.jsonl", 1, row)]).examples
    shown = render_row(row, None, model / "tokenizer.json", most)
    assert shown is not None
    assert shown.tokens is not None
    assert [token.loss for token in shown.tokens] == example.learnt


def test_without_a_tokenizer_the_texts_are_shown() -> None:
    shown = render_row(ROWS[0], "{prompt} {completion}", None, None)
    assert shown is not None
    assert (shown.prompt, shown.answer, shown.tokens) == (ROWS[0]["prompt"], " landlord, contract-law", None)
    assert render_row({"messages": []}, None, None, None) is None
