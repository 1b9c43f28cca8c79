"""The settings as keyword arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict

from lawtags_client.credentials import TokenSource

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
