"""Which library multiplies for the network of names.

numpy's is up to six times as fast as spaCy's, but some of its kernels (that for AVX2, for one) give the same
row other last digits at another place of the batch. Then what is found in a text could depend on those beside
it, so spaCy's is kept there.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from threadpoolctl import ThreadpoolController

    Floats = NDArray[np.float32]
    Product = Callable[[Floats, Floats, Floats], None]

_MOVES = (1, 3, 5, 7, 11)
# Some releases of OpenBLAS multiply wrongly on processors that they take for others.
_NEAR = 1e-4


def choose_product(gemm: Callable[..., object], weights: Sequence[Floats], rows: int) -> Product:
    """The fastest product that is right, and gives a row the same numbers wherever it stands.

    Args:
        gemm: spaCy's, which is taken where numpy's is not of that kind, and is the measure of what is right.
        weights: what rows are multiplied with.
        rows: how many rows there are in a product, always.

    Returns:
        A function of rows, weights, and where the result goes.
    """

    def by_spacy(left: Floats, right: Floats, out: Floats) -> None:
        gemm(left, right, out=out)

    with one_thread():
        good = all(is_steady(by_numpy, each, rows, by_spacy) for each in weights)
    return by_numpy if good else by_spacy


def by_numpy(left: Floats, right: Floats, out: Floats) -> None:
    """Multiply by numpy's library."""
    import numpy

    numpy.dot(left, right, out=out)


def is_steady(product: Product, weights: Floats, rows: int, known: Product) -> bool:
    """Whether a product is right, and gives a row the same numbers wherever it stands.

    Args:
        product: what is looked at.
        weights: what rows are multiplied with.
        rows: how many there are.
        known: a product that is right.
    """
    import numpy

    left = numpy.random.default_rng(0).standard_normal((rows, weights.shape[0]), dtype=numpy.float32)
    at_first, moved = (numpy.empty((rows, weights.shape[1]), dtype=numpy.float32) for _ in range(2))
    known(left, weights, moved)
    product(left, weights, at_first)
    if not numpy.allclose(at_first, moved, rtol=_NEAR, atol=_NEAR * float(numpy.abs(moved).max())):
        return False
    for places in _MOVES:
        product(numpy.roll(left, places, axis=0), weights, moved)
        if not numpy.array_equal(moved, numpy.roll(at_first, places, axis=0)):
            return False
    return True


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep numpy's library to one thread: there is a process for each core already."""
    with _libraries().limit(limits=1):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
