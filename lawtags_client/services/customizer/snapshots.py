"""Looking at a base model's files before they are sent: whether they can be trained, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue
from lawtags_client.model_config import context_length, read_model_config
from lawtags_client.weights import tensors

# What a training reads; weights in other formats would only cost space on the platform.
_KINDS = (".json", ".safetensors", ".model", ".txt", ".jinja")
_LONGEST = 2048  # tokens, if the model does not say
_TOKENIZERS = ("tokenizer.json", "tokenizer.model")
# Their linear layers are of a kind that adapters do not fit (Conv1D).
_UNFIT = frozenset({"gpt2"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A base model in a folder.

    Args:
        files: path in the repository to the file.
        num_parameters: counted from the headers of its weights.
        precision: the type its weights have, in the platform's words.
        longest: tokens that it was made for.
    """

    files: dict[str, Path]
    num_parameters: int
    precision: str
    longest: int


def inspect(folder: Path) -> Snapshot:
    """Look at a folder with a Hugging Face model.

    Args:
        folder: a snapshot; the links of the Hub's own cache are followed.

    Raises:
        DataError: something is missing, or the platform cannot train such a model.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.is_file() and path.suffix in _KINDS and not path.name.startswith(".")
    }
    weights = [path for name, path in files.items() if name.endswith(".safetensors")]
    missing = [] if "config.json" in files else ["config.json"]
    missing += [] if any(name in files for name in _TOKENIZERS) else [" or ".join(_TOKENIZERS)]
    missing += [] if weights else ["*.safetensors"]
    if missing:
        raise DataError(
            f"this is not a Hugging Face model: it lacks {', '.join(missing)}",
            path=folder,
            hint="Download one with: hf download NAMESPACE/NAME --local-dir FOLDER",
        )
    longest = context_length(_checked_config(files["config.json"]))
    types: dict[str, int] = {}
    for path in weights:
        for tensor in tensors(path):
            types[tensor.dtype] = types.get(tensor.dtype, 0) + tensor.size
    most = max(types, key=types.__getitem__)
    return Snapshot(
        files={name: _behind_link(path, folder) for name, path in files.items()},
        num_parameters=sum(types.values()),
        precision={"BF16": "bf16", "F16": "fp16"}.get(most, "fp32"),
        longest=longest or _LONGEST,
    )


def _checked_config(path: Path) -> dict[str, JsonValue]:
    config = read_model_config(path)
    if config.get("quantization_config"):
        raise DataError(
            "a quantized checkpoint cannot be trained", path=path, hint="Use the checkpoint in bf16 or fp16."
        )
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in _UNFIT:
        raise DataError(f"models of the type {kind!r} cannot be trained on the platform", path=path)
    return config


def _behind_link(path: Path, folder: Path) -> Path:
    """The file itself, where the Hub's cache has a link to it."""
    if not path.is_symlink():
        return path
    found = path.resolve()
    # snapshots/<commit>/file leads to blobs/<hash> two folders up; a link to elsewhere is somebody's mistake.
    if not found.is_relative_to(folder.resolve().parent.parent):
        raise DataError("symbolic links out of the model's folder are not followed", path=path)
    return found
