"""The Helm values for Gemma 2 2B have documented keys only, and name what the recipe asks for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def values() -> dict[str, Any]:
    text = (ROOT / "k8s" / "overlays" / "platform-chart" / "values-gemma-2-2b.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def check(values: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "chart-values.schema.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(values)


def test_the_values_have_documented_keys_only(values: dict[str, Any]) -> None:
    check(values)
    wrong = copy.deepcopy(values)
    wrong["customizer"]["customizationTargets"]["target"] = {}
    with pytest.raises(jsonschema.ValidationError, match="'target' was unexpected"):
        check(wrong)


def test_the_names_of_target_and_template_agree_with_each_other_and_with_the_recipe(
    values: dict[str, Any],
) -> None:
    customizer = values["customizer"]
    ((target_name, target),) = customizer["customizationTargets"]["targets"].items()
    ((template_name, template),) = customizer["customizationConfigTemplates"]["templates"].items()
    assert target_name == f"{target['namespace']}/{target['name']}"
    assert template_name == f"{template['namespace']}/{template['name']}"
    assert template["target"] == target_name
    assert target["model_uri"] == f"hf://{target['base_model']}"
    allowed = customizer["customizationTargets"]["hfTargetDownload"]["allowedHfOrgs"]
    assert target["base_model"].partition("/")[0] in allowed
    recipe = (ROOT / "lawtags_client" / "runs" / "recipes" / "gemma-2-2b.yaml").read_text("utf-8")
    assert template_name in recipe
