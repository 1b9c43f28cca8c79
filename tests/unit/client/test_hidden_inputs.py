"""Errors about values never repeat them: these may be secrets, or as long as a body."""

from __future__ import annotations

import importlib
import json
import pkgutil
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import Script, client
from pydantic import BaseModel, ValidationError

import lawtags_client.types
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError, LawtagsError, ProtocolError
from lawtags_client.runs.recipe_section import Section
from lawtags_client.types.common import WireModel
from lawtags_client.types.customizer import Hyperparameters
from lawtags_stack.chaos.plan import ChaosPlan, read_plan
from lawtags_stack.services.evaluator.spec_base import SpecRecord

SECRET = "nvapi-hush-4711-do-not-tell"

Ask = Callable[[NeMo], Awaitable[object]]
ANSWERS: dict[str, tuple[object, Ask]] = {
    "job": ({"id": [SECRET], "status": "created"}, lambda nemo: nemo.customizer.jobs.get("cust-1")),
    "deep": (
        {"id": "m", "api_endpoint": {"url": {"hidden": SECRET}}, "namespace": "law", "name": "m"},
        lambda nemo: nemo.entity_store.models.get("law/m"),
    ),
    "models": ({"data": [{"id": {"hidden": SECRET}}]}, lambda nemo: nemo.inference.models()),
    "completion": (
        {"choices": [{"index": SECRET, "text": "a"}]},
        lambda nemo: nemo.inference.complete(model="m", prompt="p"),
    ),
    "not an object": (SECRET, lambda nemo: nemo.customizer.jobs.get("cust-1")),
}


def _printed(error: BaseException) -> str:
    chain, seen = [error], [str(error), repr(error)]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
        seen += [str(cause), repr(cause)]
    return "\n".join([*seen, *traceback.format_exception(error)])


@pytest.mark.parametrize("kind", ANSWERS)
async def test_answer_of_another_shape_is_not_repeated(kind: str, tmp_path: Path) -> None:
    body, ask = ANSWERS[kind]
    script = Script([httpx.Response(200, json=body)])
    with pytest.raises(ProtocolError) as caught:
        await ask(client(script, tmp_path, max_retries=0))
    assert SECRET not in _printed(caught.value)


@pytest.mark.parametrize(
    "fields",
    [{"model": [SECRET], "prompt": "p"}, {"model": "m", "prompt": "p", "temperature": SECRET}],
    ids=str,
)
async def test_arguments_are_not_repeated(fields: dict[str, object], tmp_path: Path) -> None:
    nemo = client(Script([httpx.Response(500)]), tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        await nemo.inference.complete(**fields)  # type: ignore[arg-type]
    assert SECRET not in _printed(caught.value)


@pytest.mark.parametrize("argument", ["epochs", "batch_size", "learning_rate", "max_steps", "weight_decay"])
async def test_mistyped_hyperparameters_are_named_and_not_repeated(argument: str, tmp_path: Path) -> None:
    script = Script([httpx.Response(500)])
    named = {argument: SECRET}
    given: dict[str, Any] = {"hyperparameters": named} if argument == "weight_decay" else named
    with pytest.raises(ConfigurationError, match=argument) as caught:
        await client(script, tmp_path).customizer.fine_tune(
            dataset="law/questions", config="meta/llama@v1", output_model="law/tagger", **given
        )
    assert SECRET not in _printed(caught.value)
    assert script.requests == []


def test_every_model_hides_its_input() -> None:
    for module in pkgutil.iter_modules(lawtags_client.types.__path__, "lawtags_client.types."):
        importlib.import_module(module.name)
    bases: list[type[BaseModel]] = [WireModel, Section, SpecRecord, ChaosPlan]
    kinds = list(bases)
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        assert kind.model_config.get("hide_input_in_errors"), kind


def test_model_made_by_hand_does_not_repeat_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Hyperparameters(epochs=SECRET)  # type: ignore[arg-type, call-arg]
    assert SECRET not in _printed(caught.value)


def test_chaos_file_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "chaos.yaml"
    path.write_text(json.dumps({"seed": SECRET, "rules": SECRET}))
    with pytest.raises(LawtagsError) as caught:
        read_plan(path)
    assert SECRET not in _printed(caught.value)
