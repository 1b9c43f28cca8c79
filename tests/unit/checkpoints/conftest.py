"""Tiny models that several tests convert."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import make_model


@pytest.fixture(scope="session", params=["llama", "gemma2"])
def hugging_face(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Hugging Face with a model of each family, in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_model(tmp_path_factory.mktemp("models") / request.param, request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:  # all alike when new, which would hide a wrong order
                weight.normal_(1, 0.3)
    model.save_pretrained(folder)
    return folder
