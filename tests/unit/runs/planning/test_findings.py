"""What a plan says about data, options and platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lawtags_client.platform import TrainingConfig, TrainingLayout
from lawtags_client.runs.planning.dialects import dialect_findings
from lawtags_client.runs.planning.findings import PlanFinding, data_findings, training_findings
from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.runs.recipe_loading import load_recipe

ROWS = {"training": 100, "validation": 20, "testing": 20}


def training(**options: object) -> TrainingSection:
    return TrainingSection.model_validate(options)


def said(found: list[PlanFinding]) -> dict[str, tuple[str, str]]:
    return {str(each.place).rpartition(".")[2]: (each.level, str(each)) for each in found}


def config(**changes: object) -> TrainingConfig:
    options: dict[str, object] = {
        "layouts": {("sft", "lora"): TrainingLayout(micro_batch_size=2)},
        "precision": "bf16-mixed",
        **changes,
    }
    return TrainingConfig("ns/model@v1", "ns/model", 1024, (("sft", "lora"),), **options)  # type: ignore[arg-type]


def test_faults_of_the_data_are_named_by_line(tmp_path: Path) -> None:
    card = {
        "prompts": {"rows": 10, "max_tokens": 64, "cut": 4, "over_limit": 1},
        "duplicates": {"leakage": 2, "would_have_leaked": 3},
        "labels": {"parts": {"a": {"training": 9}, "b": {"training": 1}, "c": {"testing": 1}}},
        "bad_rows": {},
    }
    (tmp_path / "curation.json").write_text(json.dumps(card))
    faults = [
        {"step": "read", "reason": "is not a list", "file": "q.jsonl", "line": line, "field": "tags"}
        for line in range(1, 26)
    ]
    dropped = [{"step": "word_count", "reason": "too short"}] * 3
    (tmp_path / "rejected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in faults + dropped))
    found = [str(each) for each in data_findings(tmp_path)]
    assert found[0] == 'q.jsonl:1: "tags" is not a list; the row is left out.'
    assert any(line.startswith("5 more rows cannot be read.") for line in found)
    assert any(line.startswith("word_count drops 3 rows.") for line in found)
    assert any("2 rows that are held out have duplicates" in line for line in found)
    assert any("3 rows would have leaked" in line for line in found)
    assert any("4 of 10 prompts are cut to 64 tokens." in line for line in found)
    assert any("1 of 3 tags have fewer than 3 training rows: b." in line for line in found)
    assert any("Tags that are held out and have no training row (1): c." in line for line in found)


@pytest.mark.parametrize(
    ("options", "steps", "key", "level", "words"),
    [
        ({"warmup_steps": 200}, 14, "warmup_steps", "warning", "13 are sent"),
        ({"warmup_steps": 8}, 14, "warmup_steps", "note", "8 of 14 steps"),
        ({"max_steps": 2500, "epochs": 2}, 14, "max_steps", "warning", "Set training.epochs to 358"),
        ({"max_steps": 5}, 5, "max_steps", "note", "ends after 5 of 7 steps"),
        ({"token_budget": 1000}, 3, "token_budget", "note", "ends after 3 of 7 steps"),
        ({"token_budget": 10**6}, 7, "token_budget", "note", "no effect"),
        ({"batch_size": 128}, 1, "batch_size", "warning", "larger than the 100 training rows"),
        ({"batch_size": 16}, 7, "batch_size", "note", "the last one with 4 rows."),
        ({"batch_size": 33}, 4, "batch_size", "note", "the last one with 1 row."),
        ({"val_check_interval": 200}, 7, "val_check_interval", "note", "less often than an epoch"),
        ({"log_every_n_steps": 10}, 7, "log_every_n_steps", "warning", "No training loss"),
    ],
)
def test_options_that_will_not_do_what_they_seem_to_are_named(
    options: dict[str, object], steps: int, key: str, level: str, words: str
) -> None:
    found = said(training_findings(training(**options), ROWS, steps, tokens_per_epoch=5000))
    assert found[key][0] == level
    assert words in found[key][1]


def test_a_plain_recipe_has_no_findings_about_its_training() -> None:
    assert training_findings(training(batch_size=10), ROWS, 10, tokens_per_epoch=5000) == []
    assert dialect_findings(training(), config()) == []


def test_what_v1_decides_itself_is_compared_with_its_config() -> None:
    seed = load_recipe("seed-gemma-2-2b").training
    found = said(dialect_findings(seed, config()))
    assert found["micro_batch_size"] == (
        "warning",
        "training.micro_batch_size: Not sent: the config ns/model@v1 says 2, the recipe 1.",
    )
    assert found["precision"][0] == "note"
    assert found["max_seq_length"][0] == "warning"
    assert found["gradient_clip"][0] == "warning"
    assert "a tenth of learning_rate, 1e-07" in found["min_learning_rate"][1]
    offline = said(dialect_findings(seed, config(checked=False)))
    assert {offline[key][0] for key in ("micro_batch_size", "precision", "max_seq_length")} == {"note"}
    flat = training(optimizer="adamw_with_flat_lr", adam_beta1=0.9)
    assert "with a cosine only" in said(dialect_findings(flat, config()))["adam_beta1"][1]


def test_what_helix_cannot_express_is_named() -> None:
    found = said(dialect_findings(load_recipe("seed-gemma-2-2b").training, config(dialect="helix")))
    assert set(found) == {"log_every_n_steps", "gradient_clip", "target_modules"}
    assert "2,048 tokens" in said(dialect_findings(training(), config(dialect="helix")))["max_seq_length"][1]
