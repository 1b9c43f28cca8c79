"""Trainings on Helix report to Weights & Biases with the key of a secret, which never leaves the platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime
from shared_launcher import shared_launcher
from small_helix import SmallHelix

from lawtags_client.errors import ConfigurationError, UnprocessableError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.helix_jobs import training_spec
from lawtags_client.platform.protocol import FineTuneIntent
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.stages.customize import reported_to
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

WANDB = {"project": "law", "entity": "team", "tags": ["a"], "api_key_secret": "law/wandb-key"}
RECIPE = {"schema_version": 1, "name": "x", "model": {"config": "law/gemma@helix"}}


def intent(wandb: dict[str, Any], **training: Any) -> FineTuneIntent:
    recipe = parse_recipe({**RECIPE, "wandb": wandb})
    return FineTuneIntent(
        key="k",
        config="law/gemma",
        dataset="law/tags",
        hyperparameters=training,
        output_model="law/tagger",
        wandb=reported_to(recipe.wandb),
    )


@pytest.mark.parametrize("training", [{}, {"training_type": "dpo"}])
def test_a_recipe_names_project_and_secret(training: dict[str, Any]) -> None:
    spec = training_spec(intent(WANDB, **training), base="law/gemma", dataset="law/tags").to_wire()
    assert spec["integrations"] == {"wandb": WANDB}
    plain = training_spec(intent({}, **training), base="law/gemma", dataset="law/tags").to_wire()
    assert "integrations" not in plain


def test_without_a_secret_nothing_is_submitted_that_would_report_nothing() -> None:
    with pytest.raises(ConfigurationError, match="the recipe names none") as caught:
        training_spec(intent({"project": "law"}), base="law/gemma", dataset="law/tags")
    assert caught.value.hint and "wandb.api_key_secret" in caught.value.hint


@pytest.mark.parametrize("name", ["", "Wandb", "a/b/c", "../x", "wandb key"])
def test_a_recipe_with_no_name_of_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key_secret"):
        parse_recipe({**RECIPE, "wandb": {"project": "law", "api_key_secret": name}})


async def test_where_a_job_is_reported_makes_no_other_job(tmp_path: Path) -> None:
    server = SmallHelix()
    ids = set()
    for number, wandb in enumerate(({}, WANDB, {**WANDB, "project": "other"})):
        wanted = training_spec(intent(wandb), base="gemma", dataset="tags")
        assert isinstance(wanted, AutomodelSpec)
        async with Helix(
            base_url="http://helix.test",
            workspace="law",
            # On another machine each time.
            intents=SqliteIntents(tmp_path / f"{number}.sqlite"),
            clock=StillTime().clock(),
            handler=httpx.MockTransport(server),
        ) as helix:
            ids.add((await helix.customization.automodel.submit(wanted, key="k")).id)
    assert len(ids) == 1


async def test_a_secret_that_does_not_exist_is_named_by_the_field(tmp_path: Path) -> None:
    options = StackOptions(dialect="helix", refresh_interval=3600)
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as stack:
        async with Helix(
            base_url=stack.platform_url, workspace="law", intents=SqliteIntents(tmp_path / "intents.sqlite")
        ) as helix:
            await helix.workspaces.ensure(name="law")
            for name in ("weights", "tags"):
                await helix.filesets.ensure(name=name)
            await helix.filesets.upload("weights", {"config.json": b"{}"})
            await helix.models.create(name="gemma", fileset="weights")
            wanted = training_spec(intent(WANDB), base="law/gemma", dataset="law/tags")
            assert isinstance(wanted, AutomodelSpec)
            with pytest.raises(UnprocessableError) as caught:
                await helix.customization.automodel.submit(wanted)
            assert caught.value.hint and "helix.secrets.create" in caught.value.hint
            await helix.secrets.create(name="wandb-key", value="canary-key")
            job = await helix.customization.automodel.submit(wanted)
            assert job.spec["integrations"]["wandb"] == {**WANDB, **_unset(job.spec)}  # type: ignore[index,call-overload]
            assert "canary-key" not in job.model_dump_json()


def _unset(spec: Any) -> dict[str, None]:
    """The fields that the platform fills in with null."""
    return {name: None for name, value in spec["integrations"]["wandb"].items() if value is None}
