from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_stack.engines.training.rows import read_rows
from lawtags_stack.runner.rows import check_model, find_pairs, find_rows

ROW = {"prompt": "Title: lease\nTags:", "completion": "landlord"}


def put(folder: Path, **rows: Any) -> Path:
    for name, content in rows.items():
        path = folder / name.replace("__", "/").replace("_jsonl", ".jsonl").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("names", "training", "validation"),
    [
        (["train_jsonl", "validation_jsonl"], ["train.jsonl"], ["validation.jsonl"]),
        (
            ["training__b_jsonl", "training__a_jsonl", "dev__x_jsonl"],
            ["training/a.jsonl", "training/b.jsonl"],
            ["dev/x.jsonl"],
        ),
        (["train1_jsonl", "val_jsonl"], ["train1.jsonl"], ["val.jsonl"]),
        (["questions_jsonl"], ["questions.jsonl"], []),
        (["train_json", "train_jsonl"], ["train.jsonl"], []),
        (["train_json"], ["train.json"], []),
        (["train_jsonl", "notes__readme_jsonl"], ["train.jsonl"], []),
    ],
)
def test_rows_are_found_as_by_nvidia(
    tmp_path: Path, names: list[str], training: list[str], validation: list[str]
) -> None:
    found = find_rows(put(tmp_path, **{name: [ROW] for name in names}), None)
    assert (list(found.training), list(found.validation)) == (training, validation)


@pytest.mark.parametrize(
    ("row", "given", "template"),
    [
        (ROW, None, "{prompt} {completion}"),
        (ROW, "{prompt}: {completion}", "{prompt}: {completion}"),
        ({"question": "q", "answer": "a", "id": 1}, None, "{question} {answer}"),
        ({"messages": [{"role": "user", "content": "q"}]}, None, None),
    ],
)
def test_the_form_of_rows_follows_from_the_first(
    tmp_path: Path, row: dict[str, Any], given: str | None, template: str | None
) -> None:
    assert find_rows(put(tmp_path, train_jsonl=[row]), given).prompt_template == template


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"validation_jsonl": [ROW]}, "no training rows; it holds validation.jsonl"),
        ({"train_jsonl": []}, "no training rows"),
        ({"train_jsonl": [{"query": "q", "pos_doc": "d", "neg_doc": []}]}, "embedding models"),
        ({"train_jsonl": [{"prompt": "p"}]}, "neither messages nor"),
        ({"train_jsonl": [{"{x": "p", "y}": "q"}]}, "neither messages nor"),
    ],
)
def test_datasets_without_usable_rows_are_refused(tmp_path: Path, rows: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        find_rows(put(tmp_path, **rows), None)


CHAT = [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": CHAT, "chosen": "good", "rejected": "bad"},
        {"prompt": CHAT, "chosen_response": "good", "rejected_response": "bad"},
        {"context": CHAT, "response1": "good", "response2": "bad", "overall_preference": -2},
        {"context": CHAT, "response1": "bad", "response2": "good", "overall_preference": 1},
        {
            "context": CHAT,
            "completions": [
                {"rank": 1, "completion": [{"role": "assistant", "content": "bad"}]},
                {"rank": 0, "completion": [{"role": "assistant", "content": "good"}]},
            ],
        },
        {
            "chosen": [*CHAT, {"role": "assistant", "content": "good"}],
            "rejected": [*CHAT, {"role": "assistant", "content": "bad"}],
        },
    ],
)
def test_every_form_of_preferences_becomes_the_trainers(tmp_path: Path, row: dict[str, Any]) -> None:
    tie = {"context": "q", "response1": "a", "response2": "b", "overall_preference": 0}
    found = find_pairs(put(tmp_path, train_jsonl=[row, tie], validation_jsonl=[row]), None)
    expected = {"prompt": CHAT, "chosen_response": "good", "rejected_response": "bad"}
    assert [line.content for line in read_rows(tmp_path, found.training)] == [expected]
    assert [line.content for line in read_rows(tmp_path, found.validation)] == [expected]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"prompt": "q", "chosen": "good"}, "rejected"),
        ({"prompt": "", "chosen": "good", "rejected": "bad"}, "prompt"),
        ({"context": "q", "completions": [{"rank": 0, "completion": "one"}]}, "completions"),
        ({"context": "q", "completions": "no"}, "completions"),
        (
            {"context": "q", "response1": "a", "response2": "b", "overall_preference": "x"},
            "overall_preference",
        ),
        ({"chosen": CHAT * 2, "rejected": CHAT * 2}, "chosen"),
    ],
)
def test_preferences_of_no_known_form_name_line_and_field(
    tmp_path: Path, row: dict[str, Any], field: str
) -> None:
    good = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    with pytest.raises(DataError, match=rf"train\.jsonl:2: field '{field}'"):
        find_pairs(put(tmp_path, train_jsonl=[good, row]), None)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "no safetensors weights; it holds no files"),
        (["pytorch_model.bin", "config.json"], "no safetensors weights; it holds config.json, pytorch_model"),
        (["deep/model.safetensors", "config.json"], "no safetensors weights"),
        (["model.safetensors", "tokenizer.json"], r"no config\.json"),
        (["model.safetensors", "config.json"], r"no tokenizer\.json"),
    ],
)
def test_model_folders_that_cannot_be_trained_are_refused(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        check_model(names, where="the fileset law/base")
    assert refused.value.hint
    check_model(["model.safetensors", "config.json", "tokenizer.json"], where="x")
