"""Bodies that are valid except for one value, for every route that reads a body."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_SLOT = "the-place-of-the-odd-value"
_DEEP = 100_000

# As JSON text, since a serializer cannot produce some of them.
ODD: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "zero": b"0",
    "minus one": b"-1",
    "a fraction": b"0.5",
    "just 63 bits": b"9223372036854775807",
    "64 bits": b"18446744073709551615",
    "more than 64 bits": b"1" + b"0" * 30,
    "thousands of digits": b"9" * 5000,
    "a digit string": b'"' + b"9" * 5000 + b'"',
    "the largest double": b"1.7976931348623157e308",
    "beyond doubles": b"1e400",
    "the smallest double": b"5e-324",
    "NaN": b"NaN",
    "-Infinity": b"-Infinity",
    "the word nan": b'"nan"',
    "the word inf": b'"-inf"',
    "empty text": b'""',
    "NUL": b'"a\\u0000b"',
    "a half surrogate": b'"a\\ud800b"',
    "a half surrogate in a name": b'{"\\udc00": 1}',
    "a half surrogate as bytes": b'"a\xed\xa0\x80b"',
    "a byte that is no UTF-8": b'"a\xffb"',
    "a long text": b'"' + b"x" * 70_000 + b'"',
    "line breaks": b'"a\\r\\nb: c"',
    "a path that climbs": b'"../../etc/passwd"',
    "a reference": b'"a/b/c@d@e"',
    "an odd address": b'"http://[::1"',
    "a large port": b'"http://localhost:99999/v1"',
    "a long label": b'"http://' + b"a" * 70 + b'.example/v1"',
    "a moment before all others": b'"0001-01-01T00:00:00+23:59"',
    "empty list": b"[]",
    "empty object": b"{}",
    "a list of all kinds": b'[null, true, 1, 1.5, "x", [], {}, [[]]]',
    "a list of lists": b"[[[]]]",
    "an object of objects": b'{"a": {"b": {"": [{}]}}}',
    "names of fields": b'{"name": 1, "namespace": [], "type": {}, "files_url": 0, "url": null, "params": []}',
    "many": b"[" + b",".join([b"1"] * 5000) + b"]",
    "nested 60 deep": b"[" * 60 + b"]" * 60,
    "objects nested 300 deep": b'{"a":' * 300 + b"1" + b"}" * 300,
    "nested without end": b"[" * _DEEP + b"]" * _DEEP,
    "objects nested without end": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "unclosed": b"[" * _DEEP,
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mutated body.

    Args:
        place: path of the replaced value; its last name may be a new field.
        what: the new value, as a key of ``ODD``.
        body: the body.
    """

    place: str
    what: str
    body: bytes


def mutations(valid: Any) -> list[Callable[[], Mutation]]:
    """All ways to insert an odd value into a body: in place of a value or the body, or as a new field."""
    return [
        lambda path=path, what=what: _mutation(valid, path, what)  # type: ignore[misc]
        for path in _paths(valid)
        for what in ODD
    ]


def sampled(valid: Any, number: int, seed: str) -> list[Mutation]:
    """Some mutations, deterministic by seed."""
    found = mutations(valid)
    return [make() for make in random.Random(seed).sample(found, min(number, len(found)))]


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
        yield (*path, "a_further_field")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


def _mutation(valid: Any, path: tuple[str | int, ...], what: str) -> Mutation:
    text = json.dumps(_replaced(valid, path)).encode()
    body = text.replace(f'"{_SLOT}"'.encode(), ODD[what])
    return Mutation("/".join(map(str, path)), what, body)


def _replaced(value: Any, path: tuple[str | int, ...]) -> Any:
    if not path:
        return _SLOT
    key, *rest = path
    if isinstance(value, list):
        return [_replaced(each, tuple(rest)) if n == key else each for n, each in enumerate(value)]
    return {**value, key: _replaced(value.get(key), tuple(rest))}
