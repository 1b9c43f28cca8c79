"""Which device a worker takes, and what is said where there is none."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from second_device import SECOND, second_device
from tiny_models import make_encoder

from lawtags_client.errors import ConfigurationError
from lawtags_stack.engines.device import Compute, check_device_name, random_states, restore_random_states
from lawtags_stack.engines.embedding.worker import EmbeddingModel
from lawtags_stack.processes.environment import worker_environment


def find(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, mps: bool = False, bfloat16: bool = True) -> None:
    """Let torch find these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: bfloat16)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:15", "mps"])
def test_names_of_devices(name: str) -> None:
    check_device_name(name)


@pytest.mark.parametrize(
    "name", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1 ", "cuda:1\n", "mps:0", "cuda:9999"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown device") as caught:
        check_device_name(name)
    assert "cuda:N" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("there", "asked", "device", "described"),
    [
        ({}, "auto", "cpu", "float32 by .* on the CPU"),
        ({"gpus": 2}, "auto", "cuda:0", r"bfloat16 on cuda:0 \(GPU 0\)"),
        ({"gpus": 2}, "cuda", "cuda:0", r"bfloat16 on cuda:0 \(GPU 0\)"),
        ({"gpus": 2}, "cuda:1", "cuda:1", r"bfloat16 on cuda:1 \(GPU 1\)"),
        ({"gpus": 1, "bfloat16": False}, "auto", "cuda:0", r"float32 on cuda:0 \(GPU 0\)"),
        ({"gpus": 2}, "cpu", "cpu", "float32 by .* on the CPU"),
        ({"mps": True}, "auto", "mps", "bfloat16 on mps"),
        ({"mps": True, "bfloat16": False}, "mps", "mps", "float32 on mps"),
    ],
)
def test_the_fastest_device_is_taken_or_the_one_asked_for(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, int], asked: str, device: str, described: str
) -> None:
    find(monkeypatch, **there)
    chosen = Compute.choose(asked)
    assert str(chosen.device) == device
    assert re.fullmatch(described, chosen.described)
    exact = Compute.choose(asked, "float32")
    assert (exact.device, exact.precision) == (chosen.device, "float32")


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        ({}, "cuda", "there is no device cuda; torch finds cpu"),
        ({}, "mps", "there is no device mps; torch finds cpu"),
        ({"gpus": 2}, "cuda:2", "there is no device cuda:2; torch finds cuda:0 (GPU 0), cuda:1 (GPU 1), cpu"),
        ({"mps": True}, "cuda", "there is no device cuda; torch finds mps, cpu"),
    ],
)
def test_a_device_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, int], asked: str, found: str
) -> None:
    find(monkeypatch, **there)
    with pytest.raises(ConfigurationError) as caught:
        Compute.choose(asked)
    assert caught.value.message == found
    assert "--device auto" in (caught.value.hint or "")


def test_a_precision_that_a_gpu_only_emulates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch, gpus=1, bfloat16=False)
    with pytest.raises(ConfigurationError, match=r"cuda:0 \(GPU 0\) does not support bfloat16"):
        Compute.choose("auto", "bfloat16")


def test_what_workers_are_forked_from_asks_for_no_gpu() -> None:
    # After that, no fork of it could use CUDA.
    code = (
        "import importlib, torch\n"
        "def asked(*_):\n"
        "    raise SystemExit('asked for a GPU')\n"
        "torch.cuda._lazy_init = torch.cuda.is_available = torch._C._cuda_getDeviceCount = asked\n"
        "for name in ('training.worker', 'training.model', 'training.loop', 'training.preference',\n"
        "             'generation.worker', 'generation.engine', 'embedding.worker', 'device'):\n"
        "    importlib.import_module(f'lawtags_stack.engines.{name}')\n"
    )
    environment = worker_environment()
    assert environment["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"  # for the libraries that ask
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_random_numbers_go_on_where_they_were() -> None:
    cpu = torch.device("cpu")
    states = random_states(cpu)
    expected = torch.rand(3)
    restore_random_states(cpu, states)
    assert torch.equal(torch.rand(3), expected)
    # Written on a GPU: what the CPU has is put back.
    restore_random_states(cpu, {**states, "cuda": torch.zeros(16, dtype=torch.uint8)})
    assert torch.equal(torch.rand(3), expected)


def test_texts_are_embedded_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_encoder(tmp_path / "encoder")
    texts = ["lease", "Is a verbal lease binding?", "Who owns a photo taken at work?"]
    expected, count = EmbeddingModel(folder).embed(texts)
    with second_device(monkeypatch):
        vectors, tokens = EmbeddingModel(folder, compute=Compute(SECOND, "float32")).embed(texts)
    assert tokens == count
    for vector, other in zip(vectors, expected, strict=True):
        assert vector == pytest.approx(other, abs=1e-5)
