"""In which order an engine takes the rows of waiting requests."""

from __future__ import annotations

from lawtags_stack.engines.generation.request import Sampling
from lawtags_stack.engines.generation.rows import GenerationRow, RequestQueue


def queue_of(**sizes: int) -> RequestQueue:
    queue = RequestQueue()
    for name, size in sizes.items():
        add(queue, name, size)
    return queue


def add(queue: RequestQueue, name: str, size: int) -> None:
    for index in range(size):
        queue.add(GenerationRow(name, index, None, [1], 1, Sampling(max_tokens=1)))


def drained(queue: RequestQueue) -> list[tuple[str, int]]:
    found = []
    while (first := queue.peek()) is not None:
        row = queue.pop()
        assert row is first
        found.append((str(row.request), row.index))
    assert len(queue) == 0
    return found


def finished(order: list[tuple[str, int]]) -> dict[str, int]:
    """When the last row of each request is taken."""
    return {name: place for place, (name, _) in enumerate(order)}


def test_requests_of_equal_size_finish_one_after_the_other() -> None:
    order = drained(queue_of(a=8, b=8, c=8, d=8))
    assert order == [(name, index) for name in "abcd" for index in range(8)]


def test_a_small_request_is_taken_before_the_rest_of_a_large_one() -> None:
    queue = queue_of(large=100)
    queue.pop()
    add(queue, "small", 3)
    assert finished(drained(queue))["small"] <= 6


def test_a_stream_of_small_requests_leaves_half_of_the_turns_to_a_large_one() -> None:
    queue = queue_of(large=50)
    turns = 0
    while any(row.request == "large" for row in queue):
        add(queue, f"small {turns}", 1)
        queue.pop()
        turns += 1
    assert turns <= 2 * 50


def test_a_large_request_in_front_does_not_keep_small_ones_waiting() -> None:
    order = finished(drained(queue_of(large=64, a=2, b=2, c=2)))
    assert order["a"] < order["b"] < order["c"] <= 12
    assert order["large"] == 69


def test_rows_of_a_request_keep_their_order_and_can_be_dropped() -> None:
    queue = queue_of(a=3, b=5)
    assert [row.index for row in queue.drop("b")] == [0, 1, 2, 3, 4]
    assert queue.drop("unknown") == []
    assert drained(queue) == [("a", 0), ("a", 1), ("a", 2)]
