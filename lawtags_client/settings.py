"""Addresses, credentials and limits of a client.

A value is taken from the first place that has it: argument, the profile that was requested by name,
environment (``LAWTAGS_*``, then the names of the vendor's documentation), default profile, default. The file
is looked for in the working directory and its parents, then in the user's configuration folder::

    schema_version = 1
    default_profile = "cluster"

    [profiles.cluster]
    platform_url = "https://nemo.example.com"
    data_store_url = "https://data-store.example.com"

A requested profile with any address replaces all addresses of the environment. A profile that
``LAWTAGS_PROFILE`` or the file's default selects replaces none: both are ambient, and the variable of a
setting is more specific.

The profile ``local`` needs no file: it is the embedded stack of the working directory, and its addresses win
over those of the environment, as ``LAWTAGS_LOCAL_TOKEN`` does over other tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, get_args

from lawtags_client.base_url import checked_url
from lawtags_client.credentials import Credential, TokenSource, checked, given
from lawtags_client.errors import ConfigurationError
from lawtags_client.profiles import FILE_NAME, read_profile, refuse_unknown
from lawtags_client.setting_options import (
    PATHS,
    TOKENS,
    URLS,
    Dialect,
    LfsRewrite,
    SettingOptions,
    check_number,
    check_path,
    convert,
    decided_by,
)

T = TypeVar("T")

LOCAL_PROFILE = "local"
"""The profile that every installation has: the embedded stack of the working directory."""
LOCAL_TOKEN_VARIABLE = "LAWTAGS_LOCAL_TOKEN"
"""The environment variable with the token of the embedded stack, for every service of ``local``."""
STACK_FOLDER = Path(".lawtags/stack")
"""Where the embedded stack of a working directory keeps everything, its address in ``stack.json``."""
RUNNER_FOLDER = Path(".lawtags/runner")
"""Where a runner that is started in a working directory keeps everything."""

ServiceName = Literal["entity_store", "customizer", "evaluator", "deployments", "data_store", "inference"]
PlatformName = Literal["platform"]
"""A platform that has one address for everything, as NeMo Helix does; its URL is ``platform_url``."""

_SECRETS = frozenset({*TOKENS, "wandb_api_key"})
_VENDOR_NAMES: Mapping[str, tuple[str, ...]] = {
    "platform_url": ("NEMO_MICROSERVICES_BASE_URL",),
    "entity_store_url": ("ENTITY_STORE_BASE_URL",),
    "customizer_url": ("CUSTOMIZER_BASE_URL",),
    "evaluator_url": ("EVALUATOR_BASE_URL",),
    "deployment_url": ("DEPLOYMENT_BASE_URL",),
    "data_store_url": ("DATA_STORE_BASE_URL",),
    "inference_url": ("NIM_PROXY_BASE_URL",),
    "inference_token": ("NVIDIA_API_KEY",),
    "wandb_api_key": ("WANDB_API_KEY",),
    "ca_file": ("SSL_CERT_FILE",),
}


class _Default(float):
    """A time limit that nobody chose."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where one service is asked, and why there.

    Args:
        service: its name.
        url: its base, without a trailing slash.
        credential: the bearer token to send, if any.
        origin: which setting the URL stands in and where that came from, for error messages.
        token_origin: the same for the token.
    """

    service: str
    url: str
    credential: Credential = field(repr=False)
    origin: str = "argument"
    token_origin: str = "argument"

    @property
    def token(self) -> str | None:
        """The bearer token of the moment.

        Raises:
            ConfigurationError: it cannot be read, or cannot be sent.
        """
        return self.credential.token


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Addresses, credentials and limits of a client.

    ``token`` is sent to the platform's services and the Data Store. Inference receives it only if it is on
    the platform's own host, because a hosted model may belong to somebody else. A token is text, a function
    that returns it, or the content of a file (``token_file``), and is read again after it was rejected.
    ``connect_timeout`` and ``read_timeout`` limit one step of a request, ``total_timeout`` a whole call with
    its retries; all are in seconds.
    """

    platform_url: str | None = None
    entity_store_url: str | None = None
    customizer_url: str | None = None
    evaluator_url: str | None = None
    deployment_url: str | None = None
    data_store_url: str | None = None
    inference_url: str | None = None
    inference_models_path: str = "/v1/models"
    token: TokenSource = None
    token_file: Path | None = None
    data_store_token: TokenSource = None
    data_store_token_file: Path | None = None
    inference_token: TokenSource = None
    inference_token_file: Path | None = None
    wandb_api_key: str | None = None
    wandb_project: str | None = None
    wandb_entity: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = _Default(60.0)
    total_timeout: float = _Default(300.0)
    max_retries: int = 4
    max_connections: int = 100
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    trust_env: bool = True
    lfs_rewrite: LfsRewrite = "auto"
    dialect: Dialect = "auto"
    intents_path: Path | None = None
    profile: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    reload: Callable[[], Settings] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in URLS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_url(name, value))
        for name in _SECRETS:
            if isinstance(value := getattr(self, name), str):
                checked(name, value)
        for name in ("connect_timeout", "read_timeout", "total_timeout"):
            check_number(name, getattr(self, name))
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"{name} must be greater than zero", hint="Set it to a number of seconds."
                )
        for name in sorted(PATHS):
            object.__setattr__(self, name, check_path(name, getattr(self, name)))
        check_number("max_retries", self.max_retries, int)
        check_number("max_connections", self.max_connections, int)
        if self.max_retries < 0 or self.max_connections < 1:
            raise ConfigurationError("max_retries must be 0 or more, max_connections 1 or more")
        if self.dialect not in get_args(Dialect):
            raise ConfigurationError(f"dialect is {self.dialect!r}", hint="Use one of: auto, v1, helix.")
        if self.lfs_rewrite not in get_args(LfsRewrite):
            raise ConfigurationError(
                f"lfs_rewrite is {self.lfs_rewrite!r}", hint="Use one of: auto, always, never."
            )

    def __repr__(self) -> str:
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("sources", "reload") or value == item.default:
                continue
            shown.append(f"{item.name}={'***' if item.name in _SECRETS else value!r}")
        return f"Settings({', '.join(shown)})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret values that stand in the settings themselves, to be kept out of messages."""
        values = (getattr(self, name) for name in sorted(_SECRETS))
        return tuple(value for value in values if isinstance(value, str))

    def is_chosen(self, name: Literal["read_timeout", "total_timeout"]) -> bool:
        """Whether the user chose a time limit, so that nothing may exceed it."""
        return not isinstance(getattr(self, name), _Default)

    def with_limits(self, *, timeout: float | None = None, max_retries: int | None = None) -> Settings:
        """These settings with other limits.

        Args:
            timeout: seconds per call, retries included; sets ``read_timeout`` and ``total_timeout``.
            max_retries: attempts after the first.

        Raises:
            ConfigurationError: a limit is out of range.
        """
        limited = self
        if timeout is not None:
            check_number("timeout", timeout)
            if not timeout > 0:
                hint = "Set it to a number of seconds."
                raise ConfigurationError("timeout must be greater than zero", hint=hint)
            limited = replace(limited, read_timeout=timeout, total_timeout=timeout)
        if max_retries is not None:
            check_number("max_retries", max_retries, int)
            limited = replace(limited, max_retries=max_retries)
        return limited

    def has_address(self, service: ServiceName | PlatformName) -> bool:
        """Whether it is known where a service is asked."""
        return getattr(self, self._url_name(service)) is not None

    def _url_name(self, service: ServiceName | PlatformName) -> str:
        own = "deployment_url" if service == "deployments" else f"{service}_url"
        return own if getattr(self, own) else "platform_url"

    def address(self, service: ServiceName | PlatformName) -> ServiceAddress:
        """Where a service is asked.

        Raises:
            ConfigurationError: neither the service's URL nor the platform's is set.
        """
        own = "deployment_url" if service == "deployments" else f"{service}_url"
        name = self._url_name(service)
        url: str | None = getattr(self, name)
        if url is None:
            variables = dict.fromkeys(f"LAWTAGS_{each.upper()}" for each in ("platform_url", own))
            raise ConfigurationError(
                f"no address for the service {service!r}",
                service=service,
                hint=f"Set {' or '.join(variables)}, select a profile of {FILE_NAME}, "
                "or start a platform on this machine: `lawtags local up`, then --profile local",
            )
        origin = f"{name} ({self.sources.get(name, 'argument')})"

        def read(again: bool) -> str | None:
            # Variables and profiles may hold another token by now, too.
            settings = self.reload() if again and self.reload else self
            return settings._token_for(service, url)

        return ServiceAddress(service, url, Credential(read), origin, self._token_origin(service))

    def _token_for(self, service: ServiceName | PlatformName, url: str) -> str | None:
        own = f"{service}_token"
        if own in TOKENS:
            found = given(getattr(self, own), getattr(self, f"{own}_file"), own)
            elsewhere = service == "inference" and _host(url) != _host(self.platform_url or "")
            if found or elsewhere:
                return found
        return given(self.token, self.token_file, "token")

    def _token_origin(self, service: ServiceName | PlatformName) -> str:
        names = (f"{service}_token", f"{service}_token_file", "token", "token_file")
        name = next((name for name in names if getattr(self, name, None) is not None), None)
        # One that is found only when the settings are read again has no place to name.
        return f"{name} ({self.sources.get(name, 'argument')})" if name else "the settings"

    @classmethod
    def load(
        cls,
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        **overrides: Unpack[SettingOptions],
    ) -> Settings:
        """Gather the settings from arguments, environment, profile file and defaults.

        Example:
            ``Settings.load("cluster", max_retries=2)``

        Args:
            profile: the profile's name, whose settings win over the environment; without it
                ``LAWTAGS_PROFILE``, then the file's default, which do not.
            environ: the environment; the process's own without it.
            folder: where the search for the file begins; the working directory without it.
            overrides: single settings, which win over everything else; None means not given.

        Raises:
            ConfigurationError: a key is unknown, a value has the wrong form, or the profile does not exist.
        """
        given_environ, environ = environ, os.environ if environ is None else environ
        known = {item.name for item in fields(cls)} - {"sources", "profile", "reload"}
        options: dict[str, Any] = dict(overrides)
        refuse_unknown(options, known)
        chosen = profile or environ.get("LAWTAGS_PROFILE") or None
        file: Path | None = None
        table: Mapping[str, object] = {}
        if chosen == LOCAL_PROFILE:
            # A cluster's address in the environment must not draw a part of the work away.
            options = {**_stack_addresses(folder or Path.cwd()), **_without_none(options)}
        else:
            chosen, table, file = read_profile(chosen, environ, folder or Path.cwd(), known)
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        decided = decided_by(table) if profile else frozenset[str]()
        for name in known:
            first = (LOCAL_TOKEN_VARIABLE,) if chosen == LOCAL_PROFILE and name in TOKENS else ()
            asked = {} if name in decided else environ
            value, source = _find(name, options, asked, table, f"profile {chosen} in {file}", first)
            if value is None:
                continue
            base = file.parent if file and source.startswith("profile") else None
            values[name] = convert(name, value, source, base)
            sources[name] = source

        # Not a closure, which would keep the settings from being sent to another process; and that one has an
        # environment of its own.
        reload = partial(cls.load, profile, environ=given_environ, folder=folder, **options)
        return cls(**values, profile=chosen, sources=sources, reload=reload)


def _stack_addresses(folder: Path) -> dict[str, str]:
    """Where the embedded stack of a working directory answers, by setting.

    Raises:
        ConfigurationError: none is running.
    """
    import json

    path = folder / STACK_FOLDER / "stack.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        os.kill(int(found["pid"]), 0)
        platform = str(found["platform_url"])
        own = {"data_store_url": str(found["data_store_url"]), "inference_url": str(found["inference_url"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ConfigurationError(
            f"no embedded stack is running on {folder / STACK_FOLDER}",
            hint="Start it here with: lawtags local up --detach",
        ) from error
    return dict.fromkeys(URLS, platform) | own


def _without_none(values: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in values.items() if value is not None}


def default_intents_path() -> Path:
    """Where intents are kept unless told otherwise."""
    import platformdirs

    return platformdirs.user_state_path("lawtags") / "intents.sqlite"


def _find(
    name: str,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    table: Mapping[str, object],
    profile: str,
    first: tuple[str, ...] = (),
) -> tuple[object, str]:
    if overrides.get(name) is not None:
        return overrides[name], "argument"
    for variable in (*first, f"LAWTAGS_{name.upper()}", *_VENDOR_NAMES.get(name, ())):
        if environ.get(variable):
            return environ[variable], f"environment {variable}"
    return table.get(name), profile


def _host(url: str) -> str | None:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname
