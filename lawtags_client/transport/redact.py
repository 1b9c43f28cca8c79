"""Keeping secrets out of everything that people read."""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Mapping
from http import HTTPStatus

from lawtags_client.json_value import JsonValue

_SECRET_FIELDS = frozenset({"api_key", "hf_token", "token", "password", "secret", "wandb_api_key"})
MASK = "***"
_DEEPEST = 50
_REQUEST_ARGUMENTS = 5
"""Method, URL, version, status and reason phrase."""

# The query of a URL holds no blanks: beyond one, it is what a message says next.
_SIGNED = re.compile(
    r"([?&][^=&\s]*(?:sig|token|key|secret|credential|password|auth)[^=&\s]*=)[^&\s\"]+", re.I
)


class SignedLinkFilter(logging.Filter):
    """Masks what looks like a credential in the query of a URL, as in the links that storage hands out.

    A server chooses its reason phrase freely, and may repeat a header in it: of httpx's line for each request
    the standard phrase is logged.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_masked(argument) for argument in record.args)
            if str(record.msg).startswith("HTTP Request:") and len(record.args) == _REQUEST_ARGUMENTS:
                record.args = (*record.args[:-1], _phrase(record.args[-2]))
        return True


class HeaderFilter(logging.Filter):
    """Leaves out the headers of responses, cookies and links among them, which httpcore logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        head, told, _ = str(record.msg).partition(".complete return_value=")
        if told and "headers" in head:
            record.msg = f"{head}.complete"
        return True


def mask_logs_of_httpx() -> None:
    """Have httpx and httpcore log no credentials; doing it again changes nothing."""
    _filtered("httpx", SignedLinkFilter())
    for part in ("http11", "http2", "proxy", "socks"):
        _filtered(f"httpcore.{part}", HeaderFilter())


def _filtered(logger_name: str, wanted: logging.Filter) -> None:
    logger = logging.getLogger(logger_name)
    if not any(type(known) is type(wanted) for known in logger.filters):
        logger.addFilter(wanted)


def _phrase(status: object) -> str:
    known = {each.value: each.phrase for each in HTTPStatus}
    return known.get(status, "") if isinstance(status, int) else ""


def _masked(argument: object) -> object:
    text = str(argument) if not isinstance(argument, int | float) else ""
    return _masked_links(text) if "://" in text else argument


def _masked_links(text: str) -> str:
    """A text with the credentials in the queries of its URLs masked."""
    return _SIGNED.sub(rf"\g<1>{MASK}", text)


class Redactor:
    """Replaces known secret values in text and JSON.

    Args:
        secrets: the values; those of fewer than four letters are too common to be looked for.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace these secrets, too, from now on."""
        known = {*self._secrets, *(value for value in secrets if len(value) >= 4)}
        # Longest first, so that one secret inside another leaves nothing over.
        self._secrets = sorted(known, key=len, reverse=True)

    def with_secrets(self, secrets: Iterable[str]) -> Redactor:
        """A redactor that also knows these secrets."""
        return Redactor([*self._secrets, *secrets])

    def with_body(self, body: JsonValue) -> Redactor:
        """A redactor that also knows the secrets inside a request body."""
        return self.with_secrets(_secrets_in(body))

    def text(self, text: str) -> str:
        """The text with every secret masked, those in signed links included."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _masked_links(text) if "://" in text else text

    def value(self, value: JsonValue, depth: int = 0) -> JsonValue:
        """JSON with every secret masked, and what is nested more than 50 levels deep left out."""
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEEPEST and isinstance(value, Mapping | list):
            return "..."
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, depth + 1) for inner in value]
        return value


def without_secrets(
    body: Mapping[str, JsonValue], names: Container[str] = _SECRET_FIELDS
) -> dict[str, JsonValue]:
    """A JSON object without the fields of these names, at any depth."""
    return {key: _without(value, names) for key, value in body.items() if key not in names}


def _without(value: JsonValue, names: Container[str]) -> JsonValue:
    if isinstance(value, Mapping):
        return without_secrets(value, names)
    if isinstance(value, list | tuple):
        return [_without(inner, names) for inner in value]
    return value


def _secrets_in(body: JsonValue) -> Iterable[str]:
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in _SECRET_FIELDS and isinstance(value, str):
                yield value
            else:
                yield from _secrets_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from _secrets_in(value)
