"""The settings by name: as keyword arguments, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypedDict

from lawtags_client.credentials import TokenSource
from lawtags_client.errors import ConfigurationError

LfsRewrite = Literal["auto", "always", "never"]
Dialect = Literal["auto", "v1", "helix"]
"""Which API the platform speaks; ``auto`` asks it."""

URLS = (
    "platform_url",
    "entity_store_url",
    "customizer_url",
    "evaluator_url",
    "deployment_url",
    "data_store_url",
    "inference_url",
)
TOKENS = ("token", "data_store_token", "inference_token")


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
    wandb_project: str | None
    wandb_entity: str | None
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
    dialect: Dialect | None
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
    # Not the classes of Python alone: numbers of numpy and pandas are numbers, too.
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        hint = "Pass an integer." if kind is int else "Pass a number of seconds."
        raise ConfigurationError(f"{name} is a {type(value).__name__}", hint=hint)


def check_wait(name: str, value: object) -> None:
    """Check a time to wait, which may be zero, or have no end.

    Args:
        name: the argument, for messages.
        value: seconds, or None.

    Raises:
        ConfigurationError: it is neither, or not a number, with which no comparison would ever be true.
    """
    if value is None:
        return
    check_number(name, value)
    if value != value:
        raise ConfigurationError(f"{name} is not a number", hint="Pass a number of seconds.")


def check_path(name: str, value: object) -> Path | None:
    """A path of the settings, which may be given as text.

    Raises:
        ConfigurationError: it is something else.
    """
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(f"{name} is a {type(value).__name__}", hint="Pass a path.")
    return Path(value)


def decided_by(table: Mapping[str, object]) -> frozenset[str]:
    """The settings that the environment has no say in, if a profile was requested by name.

    Args:
        table: the profile's settings.
    """
    decided = set(table)
    if decided & set(URLS):
        # One service's address in the environment must not draw a part of the work to another platform.
        decided |= set(URLS)
    for name in TOKENS:
        if decided & {name, f"{name}_file"}:
            decided |= {name, f"{name}_file"}
    return frozenset(decided)


def _as_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
    return {**words, "off": False}[str(value).strip().lower()]


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "connect_timeout": float,
    "read_timeout": float,
    "total_timeout": float,
    "max_retries": int,
    "max_connections": int,
    "trust_env": _as_bool,
}
PATHS = frozenset(
    {"ca_file", "client_cert", "client_key", "intents_path", *(f"{name}_file" for name in TOKENS)}
)


def convert(name: str, value: object, source: str, base: Path | None) -> Any:
    """A setting as its own type, from text of the environment or a value of a profile.

    Args:
        name: the setting.
        value: as found.
        source: where it was found, for messages.
        base: the folder that paths are relative to; the working directory without it.

    Raises:
        ConfigurationError: it has another form; the value is not repeated.
    """
    try:
        if name in PATHS:
            if not isinstance(value, str | os.PathLike):
                raise TypeError
            path = Path(value).expanduser()
            return base / path if base is not None else path
        if name in TOKENS and callable(value):
            return value
        converter: Callable[[Any], Any] = _CONVERTERS.get(name, _as_text)
        return converter(value)
    except (TypeError, ValueError, KeyError, OverflowError, RuntimeError):  # the last of a home of nobody
        # The value itself may be a secret in the wrong place, so it is not repeated.
        raise ConfigurationError(f"{name} ({source}) has the wrong form") from None
