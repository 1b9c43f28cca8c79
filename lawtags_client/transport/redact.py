"""Keeping secrets out of everything that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_SECRET_FIELDS = frozenset({"api_key", "hf_token", "token", "password", "secret", "wandb_api_key"})
MASK = "***"


class Redactor:
    """Replaces known secret values in text and JSON.

    Args:
        secrets: the values; those of fewer than four letters are too common to be looked for.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that one secret inside another leaves nothing over.
        self._secrets = sorted({value for value in secrets if len(value) >= 4}, key=len, reverse=True)

    def with_body(self, body: Any) -> Redactor:
        """A redactor that also knows the secrets inside a request body."""
        return Redactor([*self._secrets, *_secrets_in(body)])

    def text(self, text: str) -> str:
        """The text with every secret masked."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def value(self, value: Any) -> Any:
        """JSON with every secret masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return value


def _secrets_in(body: Any) -> Iterable[str]:
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in _SECRET_FIELDS and isinstance(value, str):
                yield value
            else:
                yield from _secrets_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from _secrets_in(value)
