"""The settings as keyword arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict

from lawtags_client.credentials import TokenSource
from lawtags_client.errors import ConfigurationError

LfsRewrite = Literal["auto", "always", "never"]


class SettingOptions(TypedDict, total=False):
    """Single settings, by the names of ``Settings``; None means not given."""

    platform_url: str | None
    entity_store_url: str | None
    customizer_url: str | None
    evaluator_url: str | None
    deployment_url: str | None
    data_store_url: str | None
    inference_url: str | None
    inference_models_path: str | None
    token: TokenSource
    token_file: str | Path | None
    data_store_token: TokenSource
    data_store_token_file: str | Path | None
    inference_token: TokenSource
    inference_token_file: str | Path | None
    wandb_api_key: str | None
    connect_timeout: float | None
    read_timeout: float | None
    total_timeout: float | None
    max_retries: int | None
    max_connections: int | None
    ca_file: str | Path | None
    client_cert: str | Path | None
    client_key: str | Path | None
    trust_env: bool | None
    lfs_rewrite: LfsRewrite | None
    intents_path: str | Path | None


def check_number(name: str, value: object, kind: type[int] | type[float] = float) -> None:
    """Check the type of a limit.

    Args:
        name: the option, for messages.
        value: its value.
        kind: ``int`` if fractions make no sense.

    Raises:
        ConfigurationError: it is not a number of this kind.
    """
    kinds = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        hint = "Pass an integer." if kind is int else "Pass a number of seconds."
        raise ConfigurationError(f"{name} is a {type(value).__name__}", hint=hint)
