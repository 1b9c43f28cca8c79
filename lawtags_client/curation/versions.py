"""The versions of all that decides the result of a curation."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform

from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import CurationOptions
from lawtags_client.errors import MissingExtraError

CODE_VERSION = 8
"""Raised whenever a step's result changes for the same input."""

_PACKAGES = ("lawtags", "nemo-curator", "dask", "pandas", "pyarrow", "spacy", "ftfy", "lxml", "phonenumbers")


def versions_of(options: CurationOptions) -> dict[str, str]:
    """The versions of all that decides a result, by package.

    Args:
        options: what is asked for; masking of names brings its model.
    """
    versions = {"python": platform.python_version(), "curation": str(CODE_VERSION)}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    if {"PERSON", "LOCATION"} & set(options.pii.entities):
        versions["pii-model"] = find_model(options.pii.model)[1]
    return versions


def check_installed() -> None:
    """See that what a curation needs is there.

    Raises:
        MissingExtraError: a package is not installed.
    """
    # Before anything is read: the import itself comes late, since it takes seconds.
    for package in ("nemo_curator", "dask", "pandas", "pyarrow"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "curate", "curation")
