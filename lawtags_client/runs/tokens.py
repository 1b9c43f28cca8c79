"""Counts tokens as the base model does, if its tokenizer is available."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lawtags_client.cache import find_cached
from lawtags_client.errors import ConfigurationError
from lawtags_client.files import sha256_file
from lawtags_client.tagging.asking import FileCounter
from lawtags_client.tagging.prompt import estimate_tokens


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens of a text.

    Attributes:
        identity: what the counts depend on, for the digest of a stage.
        exact: whether a tokenizer counts; else it is an estimate.
        count: the counting itself.
        path: the tokenizer's file.
    """

    identity: str
    exact: bool
    count: Callable[[str], int]
    path: Path | None = None


def token_counter(source: str | None) -> TokenCounter:
    """The counter for a base model.

    Args:
        source: a ``tokenizer.json`` or a folder with one, or the name of a base model in lawtags' cache;
            None gives the estimate.

    Raises:
        ConfigurationError: there is no tokenizer at this place.
        MissingExtraError: the ``tokenizers`` package is absent.
    """
    if source is None:
        return TokenCounter("estimate", False, estimate_tokens)
    return _load(str(_locate(source).resolve()))


def _locate(source: str) -> Path:
    for candidate in (Path(source), Path(source) / "tokenizer.json"):
        if candidate.is_file():
            return candidate
    cached = find_cached(f"base-models/{source}", "tokenizer.json") / "tokenizer.json"
    if cached.is_file():
        return cached
    raise ConfigurationError(
        f"no tokenizer at {source!r}",
        hint="Set model.tokenizer to a tokenizer.json, or leave it out to plan with estimates.",
    )


@lru_cache(maxsize=4)
def _load(path: str) -> TokenCounter:
    count = FileCounter(path)
    count("")  # fails now, before any work, if the tokenizer cannot be used
    return TokenCounter(sha256_file(Path(path)), True, count, Path(path))
