"""The arrays of a retriever as a tagger's file stores them, and the checks with which they are read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.embedding_signals import arrays_of
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.text_features import Grams, TermBlock, scipy_sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Array = NDArray[np.generic]

BLOCKS: tuple[Grams, ...] = ("words", "characters")


def arrays_of_retriever(retriever: Retriever) -> dict[str, Array]:
    """The arrays that store a retriever, by name."""
    starts = np.cumsum([0, *(len(tags) for tags in retriever.row_tags)])
    arrays: dict[str, Array] = {
        "row_tags": np.asarray([tag for tags in retriever.row_tags for tag in tags], dtype=np.int32),
        "row_starts": starts.astype(np.int32),
        "duals": retriever.duals.astype(np.float16),
        "offsets": retriever.offsets.astype(np.float32),
    }
    if retriever.embedding is not None:
        arrays |= arrays_of(retriever.embedding)
    blocks = (retriever.text.words, retriever.text.characters)
    for name, block, counts in zip(BLOCKS, blocks, retriever.counts, strict=True):
        text = "\n".join(block.terms).encode("utf-8", "surrogatepass")
        arrays[f"{name}_terms"] = np.frombuffer(text, dtype=np.uint8)
        arrays[f"{name}_idf"] = block.idf
        arrays[f"{name}_counts"] = counts.data
        arrays[f"{name}_starts"] = counts.indptr.astype(np.int32)
        # Distances between neighbours are small numbers, which compress well.
        gaps = np.diff(counts.indices, prepend=0).astype(np.int32)
        first = counts.indptr[:-1][np.diff(counts.indptr) > 0]
        gaps[first] = counts.indices[first]
        arrays[f"{name}_gaps"] = gaps
    return arrays


def finite(array: Array) -> NDArray[np.float32]:
    """An array as float32.

    Raises:
        ValueError: a number is not finite.
    """
    wide = array.astype(np.float32)
    if not np.isfinite(wide).all():
        raise ValueError("a number is not finite")
    return wide


def read_terms(arrays: Mapping[str, Array], name: str) -> tuple[str, ...]:
    """The terms of a block of n-grams.

    Raises:
        ValueError: they do not fit their frequencies.
    """
    text = arrays[f"{name}_terms"].tobytes().decode("utf-8", "surrogatepass")
    terms = tuple(text.split("\n")) if text else ()
    if arrays[f"{name}_idf"].shape != (len(terms),) or len(set(terms)) != len(terms):
        raise ValueError("terms and frequencies do not fit")
    return terms


def _starts(starts: Array, total: int) -> NDArray[np.int64]:
    wide = starts.astype(np.int64)
    if wide.ndim != 1 or not len(wide) or wide[0] != 0 or wide[-1] != total or (np.diff(wide) < 0).any():
        raise ValueError("row starts are out of order")
    return wide


def read_counts(arrays: Mapping[str, Array], name: str, block: TermBlock) -> csr_matrix:
    """The n-gram counts of the rows.

    Raises:
        ValueError: they are out of range or out of order.
    """
    values, gaps = arrays[f"{name}_counts"], arrays[f"{name}_gaps"].astype(np.int64)
    starts = _starts(arrays[f"{name}_starts"], len(gaps))
    if values.shape != gaps.shape or values.dtype != np.uint8 or (len(values) and not values.all()):
        raise ValueError("n-gram counts are out of range")
    summed = np.concatenate([[0], np.cumsum(gaps)])
    places = summed[1:] - np.repeat(summed[starts[:-1]], np.diff(starts))
    if len(places) and (places.min() < 0 or places.max() >= len(block.terms)):
        raise ValueError("a term does not exist")
    return scipy_sparse().csr_matrix(
        (values, places.astype(np.int32), starts.astype(np.int32)), shape=(len(starts) - 1, len(block.terms))
    )


def read_row_tags(arrays: Mapping[str, Array], tags: int) -> tuple[tuple[int, ...], ...]:
    """The tags of the rows, as places in the vocabulary.

    Raises:
        ValueError: a tag does not exist, or rows are out of order.
    """
    flat = arrays["row_tags"]
    starts = _starts(arrays["row_starts"], len(flat))
    if len(flat) and (flat.min() < 0 or flat.max() >= tags):
        raise ValueError("a row has a tag that does not exist")
    listed = flat.tolist()
    return tuple(tuple(listed[start:stop]) for start, stop in pairwise(starts.tolist()))
