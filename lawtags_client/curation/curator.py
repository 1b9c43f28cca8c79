"""The steps as NeMo Curator knows them: modifiers, filters, and the pipeline made of its own classes.

Importing this module imports NeMo Curator, which takes seconds; nothing else of this package does.

Example::

    pipeline = Sequential([
        Modify(HtmlToTextModifier(), text_field="question"),
        Modify(PiiModifier(PiiOptions(action="mask")), text_field="question"),
        ScoreFilter(WordCountFilter(min_words=16), text_field="question"),
    ])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lawtags_client.curation import filters, modifiers
from lawtags_client.curation.html import Links, texts_to_plain
from lawtags_client.curation.options import PiiOptions
from lawtags_client.curation.pii import mask_texts
from lawtags_client.curation.staging import save_partition
from lawtags_client.curation.steps import Step, run_step
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

try:
    with warnings.catch_warnings():
        # It warns of its own dependencies' future, and of GPU packages that are not there.
        warnings.simplefilter("ignore")
        from nemo_curator import Sequential
        from nemo_curator.datasets import DocumentDataset
        from nemo_curator.filters import DocumentFilter
        from nemo_curator.modifiers import DocumentModifier
        from nemo_curator.modules.base import BaseModule
        from nemo_curator.utils.decorators import batched
except ImportError as error:
    raise MissingExtraError(error.name or "nemo_curator", "curate", "curation") from error

Method = TypeVar("Method", bound=Callable[..., Any])


def _batched(method: Method) -> Method:
    marked: Method = batched(method)
    return marked


class HtmlToTextModifier(DocumentModifier):  # type: ignore[misc]
    """HTML to plain text; other text only loses the targets of its links.

    Args:
        links: whether a link leaves its text alone or its target as well.
    """

    def __init__(self, links: Links = "text") -> None:
        super().__init__()
        self.links = links

    @_batched
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return texts_to_plain(texts, self.links)


class UnicodeModifier(DocumentModifier):  # type: ignore[misc]
    """Repairs text that was decoded wrongly."""

    @_batched
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return modifiers.repair_texts(texts)


class CleaningModifier(DocumentModifier):  # type: ignore[misc]
    """Tidies white space and removes invisible characters."""

    @_batched
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

    @_batched
    def modify_document(self, texts: pd.Series) -> pd.Series:
        return mask_texts(texts, self.options)


class SectionNumberModifier(DocumentModifier):  # type: ignore[misc]
    """Brings citations of sections into one form."""

    @_batched
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

    @_batched
    def score_document(self, texts: pd.Series) -> pd.Series:
        return filters.word_counts(texts)

    @_batched
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

    @_batched
    def score_document(self, votes: pd.Series) -> pd.Series:
        return votes.astype("float64")

    @_batched
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

    @_batched
    def score_document(self, texts: pd.Series) -> pd.Series:
        return filters.repeated_shares(texts, self.n)

    @_batched
    def keep_document(self, scores: pd.Series) -> pd.Series:
        return scores <= self.most


class RecordedStep(BaseModule):  # type: ignore[misc]
    """A step that marks refused rows instead of removing them, and counts and times itself.

    Args:
        step: the step.
    """

    def __init__(self, step: Step) -> None:
        super().__init__(input_backend="pandas", name=step.name)
        self.step = step

    def call(self, dataset: Any) -> Any:
        frame = dataset.df
        return DocumentDataset(
            frame.map_partitions(run_step, self.step, meta=frame._meta, enforce_metadata=False)
        )


class SavedPartitions(BaseModule):  # type: ignore[misc]
    """Ends a pipeline: writes each partition with its record and leaves its number.

    Args:
        folder: the work folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(input_backend="pandas", name="save")
        self.folder = folder

    def call(self, dataset: Any) -> Any:
        return DocumentDataset(
            dataset.df.map_partitions(
                save_partition, self.folder, meta={"partition": "int64"}, enforce_metadata=False
            )
        )


__all__ = [
    "CleaningModifier",
    "DocumentDataset",
    "HtmlToTextModifier",
    "NetVotesFilter",
    "PiiModifier",
    "RecordedStep",
    "RepeatedNgramsFilter",
    "SavedPartitions",
    "SectionNumberModifier",
    "Sequential",
    "UnicodeModifier",
    "WordCountFilter",
]
