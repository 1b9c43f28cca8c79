"""The file ``lawtags.toml`` with its profiles."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lawtags_client.errors import ConfigurationError

SCHEMA_VERSION = 1
FILE_NAME = "lawtags.toml"


def find_file(folder: Path, environ: Mapping[str, str]) -> Path | None:
    """The profile file: ``LAWTAGS_CONFIG``, else the nearest above ``folder``, else the user's own."""
    named = environ.get("LAWTAGS_CONFIG")
    if named:
        path = Path(named)
        with contextlib.suppress(RuntimeError):  # of no user's home: there is no such file
            path = path.expanduser()
        if not path.is_file():
            raise ConfigurationError(f"LAWTAGS_CONFIG names {path}, which is not a file")
        return path
    for parent in (folder, *folder.parents):
        if (parent / FILE_NAME).is_file():
            return parent / FILE_NAME
    import platformdirs

    own = platformdirs.user_config_path("lawtags") / FILE_NAME
    return own if own.is_file() else None


def read_profile(
    chosen: str | None, environ: Mapping[str, str], folder: Path, known: set[str]
) -> tuple[str | None, Mapping[str, object], Path | None]:
    """The name of the profile, its settings, and the file that it is in.

    Args:
        chosen: the profile that was asked for; without it the file's default.
        environ: the environment.
        folder: where the search for the file begins.
        known: the names of all settings.

    Raises:
        ConfigurationError: the file cannot be read, or does not have the profile.
    """
    file = find_file(folder, environ)
    if file is None:
        if chosen is not None:
            raise ConfigurationError(
                f"profile {chosen!r} was requested, but no {FILE_NAME} was found",
                hint=f"Write {FILE_NAME} here or in a folder above, or set LAWTAGS_PLATFORM_URL instead.",
            )
        return None, {}, None
    document = _parse(file)
    profiles = document.get("profiles", {})
    chosen = chosen or document.get("default_profile") or ("default" if "default" in profiles else None)
    if chosen is None:
        return None, {}, file
    if chosen not in profiles:
        raise ConfigurationError(
            f"{file} has no profile {chosen!r}", hint=f"Profiles: {', '.join(sorted(profiles)) or 'none'}"
        )
    refuse_unknown(profiles[chosen], known, f"{file}, profile {chosen}")
    return chosen, profiles[chosen], file


def _parse(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        document = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    refuse_unknown(document, {"schema_version", "default_profile", "profiles"}, str(file))
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{file} has schema_version {document.get('schema_version')!r}",
            hint=f"This version reads schema_version = {SCHEMA_VERSION}.",
        )
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise ConfigurationError(f"{file}: profiles must be tables, written as [profiles.NAME]")
    return document


def refuse_unknown(found: Mapping[str, object], known: set[str], where: str | None = None) -> None:
    """Raise ConfigurationError for a name that is not known.

    Args:
        found: by name.
        known: the names that may be there.
        where: the file and place; None for arguments of a call.
    """
    unknown = sorted(set(found) - known)
    if unknown:
        raise ConfigurationError(
            f"{f'{where}: ' if where else ''}unknown setting {', '.join(unknown)}",
            hint=f"Known settings: {', '.join(sorted(known))}",
        )
