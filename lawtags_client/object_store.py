"""Copies between this machine and an object store, through fsspec.

An address is ``s3://``, ``gs://``, ``az://``, ``hf://`` or ``https://``, or a path of this machine. Keys come
from the environment alone. Files are written whole or not at all.
"""

from __future__ import annotations

import enum
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.files import make_folder, open_temporary, sync

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SCHEMES = ("s3", "gs", "az", "hf", "https", "http", "file", "memory")
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_CHUNK = 8 * 1024**2
_PATIENCE = timedelta(seconds=30)


class OnExisting(enum.StrEnum):
    """What to do if the destination exists."""

    FAIL = "fail"
    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A file or folder, here or in an object store.

    Attributes:
        scheme: of the address; ``file`` for a path of this machine.
        path: as the store knows it.
        shown: the address without credentials, for messages.
    """

    scheme: str
    path: str
    shown: str

    @classmethod
    def of(cls, text: str) -> StoreAddress:
        """Read an address, and check that it can be reached from here in principle.

        Raises:
            ConfigurationError: it is of an unknown kind, or a package for it is missing.
        """
        scheme, separator, path = text.partition("://")
        if not separator:
            return cls("file", str(Path(text).absolute()), text)
        if scheme not in _SCHEMES or "::" in text:
            raise ConfigurationError(
                f"{text.partition('?')[0]!r} is not an address that lawtags can copy",
                hint="Use s3://, gs://, az://, hf:// or https://, or a path.",
            )
        if scheme in ("http", "https"):
            parts = urlsplit(text)
            return cls(scheme, text, f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
        if "@" in path.partition("/")[0]:
            raise ConfigurationError(
                f"the address on {scheme}:// contains credentials",
                hint=f"Pass keys in the environment: {_KEYS.get(scheme, 'HF_TOKEN')}.",
            )
        return cls(scheme, path.rstrip("/"), text)

    def below(self, name: str) -> StoreAddress:
        """The address of a file in this folder."""
        return StoreAddress(self.scheme, f"{self.path}/{name}", f"{self.shown.rstrip('/')}/{name}")

    def open_store(self) -> AbstractFileSystem:
        """The store that the address is in.

        Raises:
            ConfigurationError: the package for it is missing.
        """
        try:
            return _store(self.scheme)
        except ImportError as problem:
            raise ConfigurationError(
                f"{self.shown} needs the package {problem.name!r}, which is not installed",
                hint="Install it with: pip install 'lawtags[curate]'",
            ) from problem


def _store(scheme: str) -> AbstractFileSystem:
    import fsspec

    if scheme == "s3":
        # pyarrow's, which curation installs anyway; s3fs needs other versions of what we use.
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import S3FileSystem

        endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint.netloc else {}
        return ArrowFSWrapper(S3FileSystem(region=region, **options))
    if scheme == "gs":
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import GcsFileSystem

        # Without a limit it tries for 15 minutes, even if there are no keys.
        limits = {"retry_time_limit": _PATIENCE}
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        if not emulator:
            return ArrowFSWrapper(GcsFileSystem(**limits))
        # Google's own libraries take an address with and without a scheme.
        place = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
        return ArrowFSWrapper(
            GcsFileSystem(anonymous=True, scheme=place.scheme, endpoint_override=place.netloc, **limits)
        )
    if scheme == "az":
        return _azure(os.environ)
    return fsspec.filesystem(scheme)


def _azure(environment: Mapping[str, str]) -> AbstractFileSystem:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import AzureFileSystem

    # The first names are those of Azure's libraries, the others those of its command line.
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME") or environment.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise ConfigurationError(
            "az:// needs the name of the storage account",
            hint="Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN.",
        )
    key = environment.get("AZURE_STORAGE_ACCOUNT_KEY") or environment.get("AZURE_STORAGE_KEY")
    # With neither, it takes the identity of the machine or the pod.
    options = (
        {"account_key": key} if key else {"sas_token": environment.get("AZURE_STORAGE_SAS_TOKEN") or None}
    )
    place = urlsplit(environment.get("AZURE_STORAGE_ENDPOINT") or "")
    if place.netloc:
        options |= {f"{part}_storage_authority": place.netloc for part in ("blob", "dfs")}
        options |= {f"{part}_storage_scheme": place.scheme for part in ("blob", "dfs")}
    return ArrowFSWrapper(AzureFileSystem(account, **options))


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did.

    Args:
        files: how many were copied.
        bytes: their size.
        kept: how many were there already, and stayed.
    """

    files: int = 0
    bytes: int = 0
    kept: int = 0


def copy(
    source: str,
    destination: str,
    *,
    on_existing: OnExisting = OnExisting.FAIL,
    on_file: Callable[[str], None] = lambda name: None,
) -> Copied:
    """Copy a file, or a folder with everything in it.

    Args:
        source: address of the file or folder.
        destination: address of the copy; the folders above it are made.
        on_existing: what to do about files that exist there.
        on_file: called with the address of each file before it is copied.

    Raises:
        ConfigurationError: an address cannot be used.
        DataError: the source does not exist, or the destination does.
        LawtagsError: the store cannot be reached, or refuses the keys.
    """
    here, there = StoreAddress.of(source), StoreAddress.of(destination)
    if there.scheme in ("http", "https"):
        raise ConfigurationError(
            f"{there.shown} cannot be written to", hint="Use s3://, gs://, az:// or hf://, or a path."
        )
    stores = here.open_store(), there.open_store()
    files = size = kept = 0
    try:
        pairs = list(_pairs(stores[0], here, there))
        for file, target in pairs:
            if on_existing is not OnExisting.REPLACE and stores[1].exists(target.path):
                if on_existing is OnExisting.FAIL:
                    raise DataError(
                        "exists", path=target.shown, hint="Keep it with --on-existing keep, or use replace."
                    )
                kept += 1
                continue
            on_file(target.shown)
            with stores[0].open(file.path, "rb") as stream:
                size += _write(stores[1], target, stream)
            files += 1
    except _store_errors() as problem:
        if isinstance(problem, FileNotFoundError) and not _hides_another_problem(problem):
            raise DataError("does not exist", path=here.shown, hint="Check the address.") from problem
        raise LawtagsError(
            f"{here.shown} could not be copied to {there.shown}: {_reason(problem)}",
            hint="Check the address, the keys in the environment, and the network policy.",
        ) from problem
    return Copied(files, size, kept)


def publish(files: list[Path], destination: str) -> Copied:
    """Put files into a folder of an object store; those of the same name are replaced.

    Args:
        files: of this machine.
        destination: address of the folder.

    Raises:
        LawtagsError: see ``copy``.
    """
    done = [
        copy(str(path), StoreAddress.of(destination).below(path.name).shown, on_existing=OnExisting.REPLACE)
        for path in files
    ]
    return Copied(sum(each.files for each in done), sum(each.bytes for each in done))


def _pairs(
    store: AbstractFileSystem, source: StoreAddress, destination: StoreAddress
) -> Iterator[tuple[StoreAddress, StoreAddress]]:
    # Not with isfile, for which a store that cannot be reached is one that lacks the file.
    if source.scheme in ("http", "https") or store.info(source.path)["type"] == "file":
        yield source, destination
        return
    found = sorted(store.find(source.path))
    if not found:
        raise FileNotFoundError(source.shown)
    root = store._strip_protocol(source.path).strip("/")
    for path in found:
        # What a store lists must not lead out of the destination.
        name = PurePosixPath(path.strip("/").removeprefix(root).strip("/"))
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"lists a file outside of it: {path!r}", path=source.shown)
        yield StoreAddress(source.scheme, path, f"{source.shown}/{name}"), destination.below(str(name))


def _write(store: AbstractFileSystem, target: StoreAddress, stream: BinaryIO) -> int:
    if target.scheme != "file":
        # An object appears once all of it has arrived.
        with store.open(target.path, "wb") as out:
            shutil.copyfileobj(stream, out, _CHUNK)
        return int(store.size(target.path) or 0)
    path = Path(target.path)
    make_folder(path.parent)
    handle, temporary = open_temporary(path)
    try:
        with os.fdopen(handle, "wb") as out:
            shutil.copyfileobj(stream, out, _CHUNK)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return path.stat().st_size


# What stores raise beside OSError: for keys that Azure refuses, a connection that breaks off, a Hub that is
# out of reach.
_ERRORS_OF_STORES = (
    ("pyarrow.lib", "ArrowException"),
    ("aiohttp", "ClientError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
)
_ABSENT = (404, 410)


def _store_errors() -> tuple[type[Exception], ...]:
    kinds = ((sys.modules.get(module), name) for module, name in _ERRORS_OF_STORES)
    return (OSError, *(getattr(module, name) for module, name in kinds if module is not None))


def _hides_another_problem(problem: FileNotFoundError) -> bool:
    """Whether a file was only called missing: fsspec does so for any answer and for a server out of reach."""
    cause = problem.__cause__
    return isinstance(cause, _store_errors()) and getattr(cause, "status", None) not in _ABSENT


def _reason(problem: Exception) -> str:
    if isinstance(problem, FileNotFoundError) and isinstance(problem.__cause__, Exception):
        problem = problem.__cause__
    if isinstance(status := getattr(problem, "status", None), int):
        return f"the server answered {status}"
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    # Signed addresses have their keys in the query.
    return re.sub(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1", text.splitlines()[0])[:300]
