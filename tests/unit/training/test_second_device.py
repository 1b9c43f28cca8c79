"""A training computes on the device that it is given, and resumes on another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from second_device import SECOND, second_device
from tiny_models import write_pairs

from lawtags_client import products
from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.training.job import DATA_FOLDER, LoraSettings, PreferenceSettings
from lawtags_stack.engines.training.worker import run_job

MakeJob = Callable[..., Path]
Events = list[dict[str, Any]]


def train(
    folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch, until: int | None = None
) -> Events:
    """Train where ``compute`` says, and no further than a step."""
    events: Events = []

    def report(event: dict[str, Any]) -> None:
        events.append(event)
        if until is not None and event["event"] == "progress" and event["steps"] == until:
            raise KeyboardInterrupt

    def chosen(device: str, precision: str) -> Compute:
        assert device == "somewhere"
        return compute

    with monkeypatch.context() as patched:
        patched.setattr(Compute, "choose", chosen)
        try:
            run_job(folder, report, "somewhere")
        except KeyboardInterrupt:
            assert until is not None
    return events


def losses(events: Events) -> list[float]:
    return [event["value"] for event in events if event["event"] in ("train", "validation")]


CPU = Compute(torch.device("cpu"), "float32")
THERE = Compute(SECOND, "float32")


@pytest.mark.parametrize(
    "settings",
    [
        {"lora": LoraSettings(rank=4)},
        {"method": "all_weights", "architecture": "gemma2"},
        {"preference": PreferenceSettings(sft_weight=0.1, average=True)},
    ],
    ids=["adapter", "all weights", "preference"],
)
def test_training_on_a_second_device_is_that_on_the_cpu(
    make_job: MakeJob, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [make_job(name, epochs=2, learning_rate=0.005, **settings) for name in ("here", "there")]
    for folder in folders if "preference" in settings else ():
        write_pairs(folder / DATA_FOLDER / "training" / "rows.jsonl", 24)
        write_pairs(folder / DATA_FOLDER / "validation" / "rows.jsonl", 6, start=24)
    expected = train(folders[0], CPU, monkeypatch)
    with second_device(monkeypatch):
        found = train(folders[1], THERE, monkeypatch)
    assert losses(found) == pytest.approx(losses(expected), rel=1e-3)
    learnt = [event["value"] for event in found if event["event"] == "train"]
    assert learnt[-1] < learnt[0]
    names = [sorted(path.name for path in (folder / "result").iterdir()) for folder in folders]
    assert names[0] == names[1]


@pytest.mark.parametrize("there_first", [True, False])
def test_training_resumes_on_another_device(
    make_job: MakeJob, there_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 2, "checkpoint_every_n_steps": 3, "learning_rate": 0.005}
    expected = train(make_job("undisturbed", **settings), CPU, monkeypatch)
    folder = make_job("moved", **settings)
    first, second = (THERE, CPU) if there_first else (CPU, THERE)

    def trained(compute: Compute, until: int | None = None) -> Events:
        if compute is CPU:
            return train(folder, compute, monkeypatch, until)
        with second_device(monkeypatch):
            return train(folder, compute, monkeypatch, until)

    trained(first, until=5)
    events = trained(second)
    assert next(event["steps"] for event in events if event["event"] == "progress") == 4
    assert losses(events)[-1] == pytest.approx(losses(expected)[-1], rel=1e-3)


@pytest.mark.parametrize("method", ["lora", "all_weights"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_weights_stay_in_float32_where_products_are_in_bfloat16(
    make_job: MakeJob, method: str, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    folder = make_job(architecture=architecture, method=method, checkpoint_every_n_steps=1)
    expected = train(make_job("exact", architecture=architecture, method=method), CPU, monkeypatch)
    with monkeypatch.context() as patched:
        # What happens on a GPU, done on the CPU.
        patched.setattr(products, "has_onednn", lambda: False)
        patched.setattr(Compute, "autocast", lambda self: torch.autocast("cpu", dtype=torch.bfloat16))
        events = train(folder, CPU, monkeypatch)
    weights = load_file(folder / "best" / "weights.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert losses(events) != losses(expected)
    assert losses(events)[-1] < losses(events)[0] * 0.9
    assert losses(events)[0] == pytest.approx(losses(expected)[0], rel=0.05)
