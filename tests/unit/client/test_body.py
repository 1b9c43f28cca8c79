from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.transport.body import UnreadableBody, decode_json, read_body

PACK: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("", bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "x-gzip in capitals": (" X-GZIP ", gzip.compress),
    "two members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "zeros behind": ("gzip", lambda data: gzip.compress(data) + bytes(64)),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", lambda data: zlib.compress(data)[2:-4]),
}


def response(data: bytes, coding: str, size: int) -> httpx.Response:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return httpx.Response(200, headers={"content-encoding": coding}, content=chunks())


@pytest.mark.parametrize(("coding", "pack"), PACK.values(), ids=PACK)
@given(data=st.binary(max_size=400), size=st.integers(1, 50))
async def test_bodies_are_decoded_however_they_come(
    coding: str, pack: Callable[[bytes], bytes], data: bytes, size: int
) -> None:
    assert await read_body(response(pack(data), coding, size), 400) == data


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_far_larger_than_its_compressed_form_is_read_up_to_the_limit(coding: str) -> None:
    data = bytes(9 << 20)
    packed = PACK[coding][1](data)
    assert await read_body(response(packed, coding, 1 << 16), 9 << 20) == data
    assert await read_body(response(packed, coding, 1 << 16), 5, cut=True) == bytes(5)
    with pytest.raises(UnreadableBody, match="larger than 8 MiB"):
        await read_body(response(packed, coding, 1 << 16), 8 << 20)


@given(data=st.binary(min_size=1, max_size=300), missing=st.integers(1, 300))
async def test_cut_gzip_is_never_taken_for_whole(data: bytes, missing: int) -> None:
    packed = gzip.compress(data)
    cut = packed[: max(1, len(packed) - missing)]
    with pytest.raises(UnreadableBody, match="cut off"):
        await read_body(response(cut, "gzip", 64), 1000)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "nonsense"])
async def test_compressions_that_were_not_asked_for_are_named(coding: str) -> None:
    with pytest.raises(UnreadableBody, match=r"not asked for|more than once"):
        await read_body(response(b"x", coding, 1), 10)


async def test_large_json_is_what_small_json_is() -> None:
    value = [{"a": [1, 2.5, None, True, "é", {}], "b": 10**30, "c": 1e300}] * 30_000
    text = json.dumps(value).encode()
    assert len(text) > 1 << 20
    assert await decode_json(text) == value


_SPELLED = st.lists(
    st.sampled_from(["\\ud83d", "\\ude00", "\\uD83D\\uDE00", "\\\\", "u", "ud83d", "ude00", "a", "😀"]),
    max_size=12,
)


@settings(max_examples=40)
@given(pieces=_SPELLED, before=st.integers(0, 40))
async def test_no_half_of_a_character_is_left_wherever_it_stands(pieces: list[str], before: int) -> None:
    text = "x" * before + "".join(pieces)
    for padding in (0, (256 << 10) - 20):
        body = f'["{"y" * padding}{text}"]'.encode()
        told = json.loads(body)[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        assert await decode_json(body) == [told]


@given(digits=st.integers(95, 110), before=st.integers(0, 40), negative=st.booleans(), large=st.booleans())
async def test_an_integer_that_no_double_can_reckon_with_is_a_float(
    digits: int, before: int, negative: bool, large: bool
) -> None:
    number = "-" * negative + "7" * digits
    body = f'["{"x" * (before + (large << 20))}", {number}]'.encode()
    _, value = await decode_json(body)  # type: ignore[misc]
    assert value == (int(number) if digits <= 100 else float(number))
    assert type(value) is (int if digits <= 100 else float)


@pytest.mark.parametrize("digits", [400, 5000])
async def test_the_longest_integers_are_infinite(digits: int) -> None:
    assert await decode_json(b"[1, -" + b"9" * digits + b"]") == [1, -float("inf")]
