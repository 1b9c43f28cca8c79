"""Fields that carry secrets: none of them is shown by the representation of its record."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import lawtags_client.helix.types
import lawtags_client.types
from lawtags_client.helix.types.deployments import ProviderRequest
from lawtags_client.types.deployments import NIMDeploymentConfig

SECRET = re.compile(r"api_key|hf_token|password|.*headers?|.*envs|environment")
"""Names of fields whose values are secrets, or may hold some: headers, environments, keys."""


NO_SECRETS = {"lawtags_client.helix.types.rl.RlSpec.environment"}
"""What a policy learns from, and no variables."""


def secret_fields() -> Iterator[tuple[str, bool]]:
    for package in (lawtags_client.types, lawtags_client.helix.types):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, kind in vars(importlib.import_module(module.name)).items():
                if inspect.isclass(kind) and issubclass(kind, BaseModel) and kind.__module__ == module.name:
                    for field, info in kind.model_fields.items():
                        whole = f"{module.name}.{name}.{field}"
                        if whole in NO_SECRETS:
                            continue
                        if SECRET.fullmatch(field) or (name.startswith("Secret") and field == "value"):
                            yield whole, info.repr


@pytest.mark.parametrize(("field", "shown"), sorted(secret_fields()))
def test_field_is_not_shown(field: str, shown: bool) -> None:
    assert not shown, f"{field} needs Field(repr=False)"


def test_the_rule_finds_the_known_ones() -> None:
    found = {field.rpartition("types.")[2] for field, _ in secret_fields()}
    assert {
        "common.APIEndpoint.api_key",
        "secrets.SecretRequest.value",
        "data_store.LfsAction.header",
    } <= found


def test_records_are_shown_without_their_secrets() -> None:
    provider = ProviderRequest(name="own", host_url="http://a", default_extra_headers={"x-key": "hush"})
    nim = NIMDeploymentConfig(image_name="nim", image_tag="1", gpu=1, additional_envs={"NGC_API_KEY": "hush"})
    for record in (provider, nim):
        assert "hush" not in repr(record) + str(record)
        assert "hush" in str(record.to_wire())
