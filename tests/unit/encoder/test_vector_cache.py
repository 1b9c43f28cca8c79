"""The cache of vectors: shared, bounded, and worth nothing but time."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lawtags_client.encoder.vector_cache import VectorCache, vector_key

CHILD = """
import sys
from pathlib import Path
import numpy as np
from lawtags_client.encoder.vector_cache import VectorCache, vector_key
cache, own = VectorCache(Path(sys.argv[1])), int(sys.argv[2])
for start in range(40):
    key = vector_key("x", f"{own} {start}")
    cache.add({key: np.eye(4, dtype=np.float32)[own]})
    cache.find([key])
"""


def vectors(count: int, width: int = 8, seed: int = 0) -> dict[bytes, np.ndarray]:
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return {vector_key("encoder", f"{seed} {place}"): vector for place, vector in enumerate(found)}


def test_what_was_added_is_found_exactly(tmp_path: Path) -> None:
    kept = vectors(1203)
    VectorCache(tmp_path / "v.sqlite").add(kept)
    found = VectorCache(tmp_path / "v.sqlite").find([*kept, vector_key("encoder", "unknown")])
    assert found.keys() == kept.keys()
    assert all(np.array_equal(found[key], kept[key]) for key in kept)
    assert (tmp_path / "v.sqlite").stat().st_mode & 0o077 == 0
    assert VectorCache(tmp_path / "v.sqlite").find([]) == {}


def test_keys_tell_encoders_and_odd_texts_apart() -> None:
    keys = [vector_key(a, b) for a in ("a", "b") for b in ("", "\n", "\x00", "\ud800", "a" * 10**6)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "overwritten"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    path, kept = tmp_path / "v.sqlite", vectors(300)
    VectorCache(path).add(kept)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"not a database" * 100,
            "cut": whole[: len(whole) // 2 + 7],
            "overwritten": whole[:4096] + b"\xff" * (len(whole) - 4096),
        }[damage]
    )
    cache = VectorCache(path)
    for key, vector in cache.find(list(kept)).items():
        assert np.array_equal(vector, kept[key])
    cache.add(kept)
    assert VectorCache(path).find(list(kept)).keys() == kept.keys()


@pytest.mark.parametrize("content", [b"", b"abc", b"\x00\x00\xc0\x7f" * 8, b"\x00\x00\x80\x3f" * 8, "text"])
def test_a_damaged_vector_is_not_found(tmp_path: Path, content: object) -> None:
    path, kept = tmp_path / "v.sqlite", vectors(2)
    VectorCache(path).add(kept)
    first = next(iter(kept))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (content, first))
    connection.close()
    assert VectorCache(path).find(list(kept)).keys() == kept.keys() - {first}


def test_the_oldest_go_when_it_is_full(tmp_path: Path) -> None:
    clock = iter(range(10**6))
    cache = VectorCache(tmp_path / "v.sqlite", most_bytes=200_000, now=lambda: float(next(clock)))
    for seed in range(30):
        cache.add(vectors(20, width=128, seed=seed))
    assert not cache.find(list(vectors(20, width=128, seed=0)))
    assert len(cache.find(list(vectors(20, width=128, seed=29)))) == 20
    assert (tmp_path / "v.sqlite").stat().st_size < 300_000


def test_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.write_bytes(b"damaged, and both find it so")
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, path, str(own)], stderr=subprocess.PIPE, text=True)
        for own in range(2)
    ]
    for child in children:
        _, told = child.communicate(timeout=120)
        assert child.returncode == 0, told
        assert "cannot be used" not in told
    # One may have replaced the other's first file; what it had added is lost, and computed again.
    keys = [vector_key("x", f"{own} {start}") for own in range(2) for start in range(40)]
    assert len(VectorCache(path).find(keys)) >= 40


def test_without_a_place_for_it_it_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = VectorCache(tmp_path / "file" / "v.sqlite")
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            cache.add(vectors(2, seed=seed))
            assert cache.find(list(vectors(2, seed=seed))) == {}
    assert len(caplog.records) == 1
    assert str(tmp_path / "file") in caplog.text
