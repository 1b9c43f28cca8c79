"""The steps as NeMo Curator's document modifiers and filters, on whichever Curator is installed.

Curator 0.9 (Dask) hands a modifier or filter a whole partition of texts, 1.x (Ray) one text after the
other. Both end in the same batch function, so both give the same result. Import them from
:mod:`~lawtags_client.curation.curator` for 0.9, or :mod:`~lawtags_client.curation.curator_ray` for 1.x.
"""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lawtags_client.curation.clean import modifiers
from lawtags_client.curation.clean.html import texts_to_plain
from lawtags_client.curation.clean.markdown import Links
from lawtags_client.curation.features import filters
from lawtags_client.curation.mask.masker import mask_texts, masker
from lawtags_client.curation.options import PiiOptions
from lawtags_client.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

Owner = TypeVar("Owner")


def curator_version() -> tuple[int, str]:
    """The major version of the NeMo Curator that is installed, and the whole of it.

    Raises:
        MissingExtraError: none is.
    """
    try:
        version = importlib.metadata.version("nemo-curator")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError("nemo_curator", "curate", "curation") from error
    return int(version.split(".")[0]), version


def require_curator(major: int, extra: str, other: str) -> None:
    """Make sure that the Curator of an adapter is the one installed; only one of the two can be.

    Args:
        major: the major version that the adapter is for.
        extra: the extra that installs it.
        other: the adapter for the other one.

    Raises:
        ConfigurationError: the other one is installed.
        MissingExtraError: none is.
    """
    found, version = curator_version()
    if (found == 0) != (major == 0):
        raise ConfigurationError(
            f"this needs NeMo Curator {'0.9' if major == 0 else '1.x'}, and {version} is installed",
            hint=f"Import {other}, or use an environment made with: pip install 'lawtags[{extra}]'",
        )


_MAJOR, _ = curator_version()
try:
    with warnings.catch_warnings():
        # Curator warns of its own dependencies' future, and of GPU packages that are not there.
        warnings.simplefilter("ignore")
        if _MAJOR == 0:
            from nemo_curator.filters import DocumentFilter
            from nemo_curator.modifiers import DocumentModifier
        else:
            from nemo_curator.stages.text.filters import DocumentFilter
            from nemo_curator.stages.text.modifiers import DocumentModifier
except ImportError as error:
    raise MissingExtraError(
        error.name or "nemo_curator", "curate-ray" if _MAJOR else "curate", "curation"
    ) from error


def _in_batches(method: Callable[[Owner, pd.Series], pd.Series]) -> Callable[[Owner, object], object]:
    """Lets a method over batches also take a single value, as Curator 1.x hands it over."""

    @functools.wraps(method)
    def either(self: Owner, value: object) -> object:
        import pandas

        if isinstance(value, pandas.Series):
            return method(self, value)
        result = method(self, pandas.Series([value], dtype=object)).iloc[0]
        return result.item() if hasattr(result, "item") else result

    # What Curator 0.9's own decorator of this name sets; 1.x does not look at it.
    either.batched = True  # type: ignore[attr-defined]
    return either


class HtmlToTextModifier(DocumentModifier):  # type: ignore[misc]
    """HTML to plain text; other text only loses the targets of its links.

    Args:
        links: whether a link leaves its text alone or its target as well.
    """

    def __init__(self, links: Links = "text") -> None:
        super().__init__()
        self.links = links

    @_in_batches
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return texts_to_plain(texts, self.links)


class UnicodeModifier(DocumentModifier):  # type: ignore[misc]
    """Repairs text that was decoded wrongly."""

    @_in_batches
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return modifiers.repair_texts(texts)


class CleaningModifier(DocumentModifier):  # type: ignore[misc]
    """Tidies whitespace and removes invisible characters."""

    @_in_batches
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return modifiers.clean_texts(texts)


class PiiModifier(DocumentModifier):  # type: ignore[misc]
    """Replaces personal data. Two of them with different options do not share anything.

    Args:
        options: what to look for and what to do with it.
    """

    def __init__(self, options: PiiOptions | None = None) -> None:
        super().__init__()
        self.options = options or PiiOptions()

    def load_model(self) -> None:
        """Load the model of names, so that the first texts need not wait for it."""
        masker(self.options)

    @_in_batches
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return mask_texts(texts, self.options)


class SectionNumberModifier(DocumentModifier):  # type: ignore[misc]
    """Brings citations of sections into one form."""

    @_in_batches
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return modifiers.format_sections(texts)


class WordCountFilter(DocumentFilter):  # type: ignore[misc]
    """Keeps texts of at least so many words.

    Args:
        min_words: 16 drops texts of 15 words or fewer.
    """

    def __init__(self, min_words: int = 16) -> None:
        super().__init__()
        self.min_words = min_words

    @_in_batches
    def score_document(self, texts: pd.Series) -> pd.Series:
        return filters.word_counts(texts)

    @_in_batches
    def keep_document(self, scores: pd.Series) -> pd.Series:
        return scores >= self.min_words


class NetVotesFilter(DocumentFilter):  # type: ignore[misc]
    """Keeps questions of at least so many net votes; unknown votes pass.

    Args:
        min_score: the least net votes.
    """

    def __init__(self, min_score: float = 0) -> None:
        super().__init__()
        self.min_score = min_score

    @_in_batches
    def score_document(self, votes: pd.Series) -> pd.Series:
        return votes.astype("float64")

    @_in_batches
    def keep_document(self, scores: pd.Series) -> pd.Series:
        return scores.isna() | (scores >= self.min_score)


class RepeatedNgramsFilter(DocumentFilter):  # type: ignore[misc]
    """Keeps texts that do not repeat one phrase over and over, however short they are.

    Args:
        n: words in a phrase.
        most: the largest share of the text that may be repetition.
    """

    def __init__(self, n: int = 5, most: float = 0.15) -> None:
        super().__init__()
        self.n = n
        self.most = most

    @_in_batches
    def score_document(self, texts: pd.Series) -> pd.Series:
        return filters.repeated_shares(texts, self.n)

    @_in_batches
    def keep_document(self, scores: pd.Series) -> pd.Series:
        return scores <= self.most


__all__ = [
    "CleaningModifier",
    "HtmlToTextModifier",
    "NetVotesFilter",
    "PiiModifier",
    "RepeatedNgramsFilter",
    "SectionNumberModifier",
    "UnicodeModifier",
    "WordCountFilter",
]
