from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lawtags_stack.engines.generation.token_text import TextStream


@given(st.text(), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.integers(1, 5))
def test_streamed_pieces_add_up_to_the_text_before_the_first_stop(
    text: str, stop: list[str], size: int
) -> None:
    raw = text.encode("utf-8", "replace")
    stream = TextStream(tuple(stop))
    shown = ""
    for start in range(0, len(raw), size):
        stream.feed(raw[start : start + size])
        shown += stream.take()
        if stream.stopped:
            break
    stream.close()
    shown += stream.take(final=True)
    whole = raw.decode("utf-8")
    cuts = [whole.index(word) for word in stop if word in whole]
    # Pieces are cut where the earliest stop string is complete, which need not be the one that begins first.
    assert shown == stream.text
    assert whole.startswith(shown)
    assert (shown == whole) == (not cuts)
    assert not any(word in shown for word in stop)


def test_half_a_character_is_held_back() -> None:
    stream = TextStream()
    stream.feed("ü".encode()[:1])
    assert stream.take() == ""
    stream.feed("ü".encode()[1:])
    assert stream.take() == "ü"
