"""Bearer tokens that may change while a program runs: from a file, a function, a variable or a profile."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from lawtags_client.errors import ConfigurationError, LawtagsError

logger = logging.getLogger(__name__)

TokenSource: TypeAlias = str | Callable[[], str] | None
"""A token, or a function that gives the one of the moment."""


class Credential:
    """A token, read when it is first needed and again when it was refused.

    Args:
        read: gives the token; called with True when the one known is to be looked up anew.
    """

    def __init__(self, read: Callable[[bool], str | None]) -> None:
        self._read = read
        self._token: str | None = None
        self._known = False
        self._past: set[str] = set()

    def __repr__(self) -> str:
        return "Credential(***)"

    @property
    def token(self) -> str | None:
        """The token of the moment.

        Raises:
            ConfigurationError: it cannot be read, or cannot be sent.
        """
        if not self._known:
            self._keep(self._read(False))
        return self._token

    @property
    def secrets(self) -> frozenset[str]:
        """Every token that was known so far, to be kept out of messages."""
        return frozenset(self._past)

    def renew(self, refused: str | None) -> bool:
        """Read the token again; whether it is another than the one that was refused.

        Args:
            refused: the token of the request that was refused.
        """
        if self.token != refused:
            # Another request has met the same refusal and renewed it already.
            return True
        try:
            self._keep(self._read(True))
        except LawtagsError as error:
            logger.warning("the token was refused and cannot be read again: %s", error.message)
        return self._token != refused

    def _keep(self, token: str | None) -> None:
        self._token, self._known = token, True
        if token:
            self._past.add(token)


def given(token: TokenSource, file: Path | None, name: str) -> str | None:
    """The token of a setting: given itself, by a function, or by a file, in this order.

    Args:
        token: the setting.
        file: the file named beside it.
        name: what the setting is called, for messages.

    Raises:
        ConfigurationError: it cannot be read, or cannot be sent.
    """
    if callable(token):
        return checked(name, _asked(token, name).strip())
    if token is not None or file is None:
        return token
    try:
        text = file.read_text("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{name}_file cannot be read: {error}", hint="Check the path and its permissions."
        ) from error
    return checked(f"{name}_file ({file})", text)


def _asked(function: Callable[[], str], name: str) -> str:
    try:
        found: object = function()
    except LawtagsError:
        raise
    except Exception as error:
        # What it says may repeat the secret; the traceback of the cause has it for the author.
        raise ConfigurationError(
            f"the function for {name} failed: {type(error).__name__}",
            hint="Fix the function; nothing was sent.",
        ) from error
    if isinstance(found, str):
        return found
    if inspect.iscoroutine(found):
        found.close()
    raise ConfigurationError(
        f"the function for {name} returned a {type(found).__name__}",
        hint="Return the token as text, from a function that is not asynchronous.",
    )


def checked(name: str, value: str) -> str:
    """A secret that can be sent as a header.

    Raises:
        ConfigurationError: it cannot; the secret itself is not repeated.
    """
    if not value.isascii() or not value.isprintable() or " " in value or not value:
        raise ConfigurationError(
            f"{name} cannot be sent as a header: it is empty, or has spaces, line breaks or other characters",
            hint="Check its source for a stray line break.",
        )
    return value
