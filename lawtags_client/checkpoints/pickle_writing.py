"""Pickles that name classes of PyTorch, written without importing it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from lawtags_client.checkpoints.pickles import PickledGlobal, PickledObject, PickledReference


def write_pickle(value: object) -> bytes:
    """A pickle of protocol 2.

    Args:
        value: numbers, text, ``None``, lists, tuples, dicts, and what ``pickles`` has for the rest: an object
            with a state is made as a new object of its class, and one without by a call.
    """
    parts: list[bytes] = [b"\x80\x02"]
    _write(value, parts)
    return b"".join([*parts, b"."])


def _write(value: object, parts: list[bytes]) -> None:
    if isinstance(value, PickledObject):
        parts.append(_global(value.kind))
        _write_tuple(value.args, parts)
        if value.state is None:
            parts.append(b"R")
        else:
            parts.append(b"\x81")
            _write(value.state, parts)
            parts.append(b"b")
        _write_items(value.items, parts)
    elif isinstance(value, PickledGlobal):
        parts.append(_global(value.name))
    elif isinstance(value, PickledReference):
        _write(value.value, parts)
        parts.append(b"Q")
    elif isinstance(value, tuple):
        _write_tuple(value, parts)
    elif isinstance(value, dict):
        parts.append(b"}")
        _write_items(value, parts)
    elif isinstance(value, list):
        parts.append(b"](")
        for each in value:
            _write(each, parts)
        parts.append(b"e")
    else:
        parts.append(_scalar(value))


def _write_tuple(value: Sequence[object], parts: list[bytes]) -> None:
    parts.append(b"(")
    for each in value:
        _write(each, parts)
    parts.append(b"t")


def _write_items(items: Mapping[object, object], parts: list[bytes]) -> None:
    if not items:
        return
    parts.append(b"(")
    for key, each in items.items():
        _write(key, parts)
        _write(each, parts)
    parts.append(b"u")


def _global(name: str) -> bytes:
    module, _, what = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + what.encode() + b"\n"


def _scalar(value: object) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    raise TypeError(f"a {type(value).__name__} cannot be written")
