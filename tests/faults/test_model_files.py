"""Model files that are not what they are called: nothing is unpickled, nothing believed, no code run."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_adapter, make_model

from lawtags_client.errors import LawtagsError
from lawtags_client.services.customizer.snapshots import inspect
from lawtags_stack.services.customizer.targets import count_parameters

HIT: list[str] = []


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return HIT.append, ("unpickled",)


def _header(value: Any, *, length: int | None = None, data: bytes = b"") -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


_TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
FALSE: dict[str, bytes] = {
    "empty": b"",
    "five bytes": b"\x01\x02\x03\x04\x05",
    "pickle": pickle.dumps(Bomb()),
    "zip of pickles": b"PK\x03\x04" + b"\x00" * 60,
    "header of an exabyte": _header({"w": _TENSOR}, length=1 << 60),
    "header longer than the file": _header({"w": _TENSOR}, length=10_000),
    "header that is a list": _header([1, 2]),
    "header that is no JSON": struct.pack("<Q", 4) + b"{{{{",
    "tensor that is a number": _header({"w": 7}),
    "tensor without a shape": _header({"w": {"dtype": "F32", "data_offsets": [0, 16]}}, data=b"\0" * 16),
    "shape of words": _header({"w": {**_TENSOR, "shape": ["a"]}}, data=b"\0" * 16),
    "no tensor at all": _header({"__metadata__": {"format": "pt"}}),
}
LYING: dict[str, bytes] = {
    "data that is missing": _header({"w": _TENSOR}),
    "offsets beyond the end": _header({"w": {**_TENSOR, "data_offsets": [0, 1 << 40]}}, data=b"\0" * 16),
    "shape that does not fit": _header({"w": {**_TENSOR, "shape": [1 << 20, 1 << 20]}}, data=b"\0" * 16),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    make_adapter(folder, base)
    return folder


def _with_weights(folder: Path, base: Path, content: bytes) -> Path:
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(content)
    return folder


@pytest.fixture
def little_memory() -> Callable[[], None]:
    """A check that no more than 200 MiB were taken since."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def check() -> None:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024

    return check


@pytest.mark.parametrize("kind", FALSE)
def test_invalid_weights_are_rejected_before_upload_and_training(
    kind: str, base: Path, tmp_path: Path, little_memory: Callable[[], None]
) -> None:
    folder = _with_weights(tmp_path / "model", base, FALSE[kind])
    for look in (inspect, count_parameters):
        with pytest.raises(LawtagsError, match=r"safetensors"):
            look(folder)
    little_memory()
    assert HIT == []


@settings(max_examples=50, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=64),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["w", "shape", "dtype", "data_offsets", "__metadata__"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ).map(_header),
    )
)
def test_any_weights_file_is_read_or_rejected(
    content: bytes, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = _with_weights(tmp_path_factory.mktemp("any") / "model", base, content)
    for look in (inspect, count_parameters):
        try:
            look(folder)
        except LawtagsError as error:
            assert "safetensors" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FALSE, *LYING])
def test_invalid_weights_are_never_loaded(
    kind: str, base: Path, adapter: Path, tmp_path: Path, little_memory: Callable[[], None]
) -> None:
    from lawtags_stack.engines.generation.adapters import load_adapter
    from lawtags_stack.engines.generation.loading import load_model

    content = {**FALSE, **LYING}[kind]
    (tmp_path / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(LawtagsError):
        load_adapter(adapter / "adapter_config.json", tmp_path / "adapter_model.safetensors", ["layers.0.q"])
    if kind != "no tensor at all":
        with pytest.raises(LawtagsError):
            load_model(_with_weights(tmp_path / "model", base, content))
    little_memory()
    assert HIT == []


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.ckpt", "model.pt", "weights.pkl", "flax_model.msgpack"]
)
def test_other_formats_are_rejected_by_name(name: str, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    for look in (inspect, count_parameters):
        with pytest.raises(LawtagsError, match=r"lacks \*\.safetensors"):
            look(folder)
    assert HIT == []


def test_other_files_of_a_model_stay_behind(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    for name in ("pytorch_model.bin", "modeling_own.py", "training_args.bin", ".env"):
        (folder / name).write_bytes(b"x")
    assert (
        set(inspect(folder).files) & {"pytorch_model.bin", "modeling_own.py", "training_args.bin", ".env"}
        == set()
    )


@pytest.mark.slow
def test_model_code_is_never_run(base: Path, tmp_path: Path) -> None:
    from lawtags_stack.engines.generation.loading import load_model

    folder, mark = tmp_path / "model", tmp_path / "was-run"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Own: pass\n")
    with pytest.raises(LawtagsError):
        load_model(folder)
    assert not mark.exists()
