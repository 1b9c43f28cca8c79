"""The settings that a tagger needs to prompt its model exactly as in training.

A prompt depends on how the question's text was cleaned and masked, and on the tokenizer that truncated it.
All of these are stored with the tagger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError, MissingExtraError
from lawtags_client.tagging.prompt import estimate_tokens


@dataclass(frozen=True)
class PromptSettings:
    """How questions were prepared for the model.

    Args:
        text: how their texts were made plain and masked, as JSON; see ``asking/preparation.py``.
        tokenizer: the content of the ``tokenizer.json`` that counted tokens; None for the estimate.
        chat: whether the model was trained on chats, and expects one.
    """

    text: Mapping[str, object]
    tokenizer: bytes | None = field(default=None, repr=False)
    chat: bool = False

    @property
    def tokenizer_digest(self) -> str | None:
        """SHA-256 of the tokenizer."""
        return hashlib.sha256(self.tokenizer).hexdigest() if self.tokenizer is not None else None

    @property
    def count_tokens(self) -> Callable[[str], int]:
        """The length of a text in tokens, as in training.

        Raises:
            MissingExtraError: the ``tokenizers`` package is not installed.
            DataError: the tokenizer cannot be read.
        """
        return estimate_tokens if self.tokenizer is None else _counting(self.tokenizer)


class FileCounter:
    """Counts tokens with a tokenizer file, and can be pickled, so that other processes count the same.

    Args:
        path: the ``tokenizer.json``.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, text: str) -> int:
        return _of_file(self._path)(text)


@lru_cache(maxsize=4)
def _of_file(path: str) -> Callable[[str], int]:
    if not Path(path).is_file():
        raise ConfigurationError(
            f"no tokenizer at {path!r} on this machine",
            hint="All workers of a cluster need it at the same path.",
        )
    return _counting(Path(path).read_bytes())


@lru_cache(maxsize=4)
def _counting(content: bytes) -> Callable[[str], int]:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("tokenizers", "local", "counting tokens exactly") from None
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the package raises bare exceptions
        raise DataError(f"the tokenizer cannot be read: {error}", hint="Copy its file again.") from None
    # One that pads or cuts off would count its own length instead of the text's.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
