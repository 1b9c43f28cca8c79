"""The library that multiplies must be right, and give a row the same numbers wherever it stands."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from threadpoolctl import threadpool_info

from lawtags_client.curation.mask import matrix_product as pii_product
from lawtags_client.curation.mask.matrix_product import choose_product, is_steady, one_thread

ROWS = 24
WEIGHTS = numpy.random.default_rng(1).standard_normal((36, 12), dtype=numpy.float32)


def row_by_row(left: Any, right: Any, out: Any) -> None:
    for place, row in enumerate(left):
        out[place] = (row[:, None].astype("f8") * right).sum(axis=0)


def by_place(left: Any, right: Any, out: Any) -> None:
    row_by_row(left, right, out)
    out += (numpy.arange(len(out))[:, None] % 4 * numpy.float32(1e-6)).astype("f4")


def wrong(left: Any, right: Any, out: Any) -> None:
    row_by_row(left, right, out)
    out[:, 0] *= numpy.float32(1.01)


def gemm(left: Any, right: Any, *, out: Any) -> None:
    row_by_row(left, right, out)


@pytest.mark.parametrize(("product", "steady"), [(row_by_row, True), (by_place, False), (wrong, False)])
def test_product_is_held_to_every_place_and_to_the_right_numbers(product: Any, steady: bool) -> None:
    assert is_steady(product, WEIGHTS, ROWS, row_by_row) is steady


@pytest.mark.parametrize("product", [by_place, wrong])
def test_product_that_is_not_steady_is_not_taken(product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pii_product, "by_numpy", product)
    taken = choose_product(gemm, [WEIGHTS], ROWS)
    out, right = (numpy.empty((ROWS, 12), dtype=numpy.float32) for _ in range(2))
    left = numpy.ones((ROWS, 36), dtype=numpy.float32)
    taken(left, WEIGHTS, out)
    row_by_row(left, WEIGHTS, right)
    assert numpy.array_equal(out, right)


def test_product_that_is_steady_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pii_product, "by_numpy", row_by_row)
    assert choose_product(gemm, [WEIGHTS], ROWS) is row_by_row


def test_numpy_keeps_to_one_thread_within_and_gets_its_threads_back() -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
