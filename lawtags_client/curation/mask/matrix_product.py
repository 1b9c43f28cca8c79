"""Choose the matrix product for the name network.

NumPy's product is up to six times as fast as spaCy's. With some of its kernels, such as the one for AVX2,
the last digits of a row depend on its position in the batch. The result for a text could then depend on the
other texts, so spaCy's product is used there.
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
# Some releases of OpenBLAS misdetect the processor, and compute wrong products.
_NEAR = 1e-4


def choose_product(gemm: Callable[..., object], weights: Sequence[Floats], rows: int) -> Product:
    """The fastest product that is correct and independent of the position of a row.

    Args:
        gemm: spaCy's product: the fallback, and the reference for correctness.
        weights: the matrices that rows are multiplied with.
        rows: the number of rows of every product.

    Returns:
        A function of rows, weights and the output array.
    """

    def by_spacy(left: Floats, right: Floats, out: Floats) -> None:
        gemm(left, right, out=out)

    with one_thread():
        good = all(is_steady(by_numpy, each, rows, by_spacy) for each in weights)
    return by_numpy if good else by_spacy


def by_numpy(left: Floats, right: Floats, out: Floats) -> None:
    """Multiply with NumPy."""
    import numpy

    numpy.dot(left, right, out=out)


def is_steady(product: Product, weights: Floats, rows: int, known: Product) -> bool:
    """Whether a product is correct and independent of the position of a row.

    Args:
        product: the product to check.
        weights: the matrix that rows are multiplied with.
        rows: the number of rows.
        known: a product that is known to be correct.
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
    """Limit NumPy's BLAS to one thread: there is one process per core already."""
    with _libraries().limit(limits=1):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
