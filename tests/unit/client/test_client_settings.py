"""Clients of both platforms take the same arguments and refuse the same mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lawtags_client import NeMo, Settings
from lawtags_client.errors import ConfigurationError
from lawtags_client.helix import Helix

CLIENTS: list[Callable[..., Any]] = [NeMo, Helix]


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_given_names_the_ways_to_give_it(client: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="needs a base_url") as caught:
        client()
    assert "from_env()" in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wrong", ["http://127.0.0.1:1", {"platform_url": "http://127.0.0.1:1"}, object()])
def test_something_else_than_settings_is_named(client: Callable[..., Any], wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=f"takes Settings, not {type(wrong).__name__}"):
        client(wrong)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("more", [{"base_url": "http://127.0.0.1:2"}, {"token": "t"}])
def test_settings_and_single_arguments_exclude_each_other(
    client: Callable[..., Any], more: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="either settings, or base_url and token"):
        client(Settings(platform_url="http://127.0.0.1:1"), **more)
