"""Weights & Biases: the project and the key reach the Customizer, whoever names the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from client_kit import client as make_client
from small_customizer import SmallCustomizer

from lawtags_client import NeMo
from lawtags_client.platform.protocol import FineTuneIntent
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.stages.customize import reported_to
from lawtags_client.types.customizer import (
    CustomizationJobRequest,
    Hyperparameters,
    WandBData,
    WandBIntegration,
)

ROOT = Path(__file__).parents[3]
KEY = "canary-wandb-key"


class Recording(SmallCustomizer):
    """Keeps the requests that create jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[dict[str, Any], str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.sent.append((json.loads(request.read()), request.headers.get("wandb-api-key")))
        return super().__call__(request)


def nemo(server: Recording, folder: Path, **settings: Any) -> NeMo:
    return make_client(server, folder, wandb_api_key=KEY, **settings)


def intent(**wandb: Any) -> FineTuneIntent:
    return FineTuneIntent(
        key="k", config="ns/m@v1", dataset="ns/d", hyperparameters={"finetuning_type": "lora"},
        output_model="law/tagger", wandb=wandb,
    )  # fmt: skip


REQUEST = CustomizationJobRequest(
    config="ns/m@v1", dataset="ns/d", hyperparameters=Hyperparameters(finetuning_type="lora")
)


async def test_a_recipe_names_project_and_the_key_travels_as_a_header(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "schema_version": 1, "name": "x", "model": {"config": "ns/m@v1"},
            "wandb": {"project": "law", "entity": "team", "tags": ["a"]},
        }
    )  # fmt: skip
    server = Recording()
    async with nemo(server, tmp_path) as client:
        await V1Platform(client).submit(intent(**reported_to(recipe.wandb)))
    ((body, key),) = server.sent
    wandb = {"project": "law", "entity": "team", "tags": ["a"]}
    assert body["integrations"] == [{"type": "wandb", "wandb": wandb}]
    assert key == KEY
    assert KEY not in json.dumps(body) and "wandb" not in str(recipe.record()["training"])


async def test_the_setting_holds_for_every_job_that_names_no_project(tmp_path: Path) -> None:
    server = Recording()
    async with nemo(server, tmp_path, wandb_project="all", wandb_entity="team") as client:
        await client.customizer.submit(REQUEST, key="a")
        own = REQUEST.model_copy(update={"integrations": [WandBIntegration(wandb=WandBData(project="own"))]})
        await client.customizer.submit(own, key="b")
        assert KEY not in repr(client) + repr(client.settings)
    projects = [body["integrations"][0]["wandb"]["project"] for body, _ in server.sent]
    assert projects == ["all", "own"]
    assert {key for _, key in server.sent} == {KEY}


async def test_without_a_project_nothing_is_reported_and_no_key_is_sent(tmp_path: Path) -> None:
    server = Recording()
    async with nemo(server, tmp_path) as client:
        await V1Platform(client).submit(intent())
    ((body, key),) = server.sent
    assert "integrations" not in body and key is None


async def test_where_a_job_is_reported_makes_no_other_job(tmp_path: Path) -> None:
    server = Recording()
    async with nemo(server, tmp_path) as client:
        first = await V1Platform(client).submit(intent(project="law"))
        assert await V1Platform(client).submit(intent(project="other")) == first
    async with nemo(server, tmp_path, wandb_project="third") as client:
        assert await V1Platform(client).submit(intent()) == first
    assert len(server.sent) == 1
    # Nothing of it is on this machine.
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("pods", ["job-pods.yaml", "retraining.yaml"])
def test_kubernetes_passes_project_and_key_to_the_pods(pods: str) -> None:
    services = yaml.safe_load((ROOT / "k8s" / "base" / "services.yaml").read_text())
    assert {"LAWTAGS_WANDB_PROJECT", "LAWTAGS_WANDB_ENTITY"} <= set(services["data"])
    text = (ROOT / "k8s" / "base" / pods).read_text()
    assert f"name: {services['metadata']['name']}" in text
    assert "key: LAWTAGS_WANDB_API_KEY" in text
    assert "LAWTAGS_WANDB_API_KEY" in (ROOT / "k8s" / "secret.example.yaml").read_text()


@pytest.mark.parametrize("value", ["", "law"])
def test_an_empty_variable_is_no_project(value: str, tmp_path: Path) -> None:
    from lawtags_client.settings import Settings

    found = Settings.load(None, environ={"LAWTAGS_WANDB_PROJECT": value}, folder=tmp_path)
    assert found.wandb_project == (value or None)
