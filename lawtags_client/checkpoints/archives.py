"""The files of a checkpoint by name, whether they are in a folder or in an uncompressed tar archive."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from lawtags_client.checkpoints.extents import Extent, ExtentReader
from lawtags_client.errors import DataError

_MOST_FILES = 20_000
_DEEPEST = 6
_HINT = "Unpack nothing by hand: download the checkpoint again, or ask who made it."


def checkpoint_files(path: Path) -> dict[str, Extent]:
    """The files of a checkpoint.

    Args:
        path: a folder, or an uncompressed tar archive such as a ``.nemo`` file.

    Returns:
        name below the folder or in the archive, with slashes, to its bytes.

    Raises:
        DataError: it does not exist, or has links, names or sizes that no checkpoint needs.
    """
    if path.is_dir():
        return _folder_files(path)
    if path.is_file():
        return _archive_files(path)
    raise DataError(
        "does not exist", path=path, hint="Check the path: a folder or a .nemo file.", wrong_path=True
    )


def _folder_files(folder: Path) -> dict[str, Extent]:
    root = folder.resolve()
    # A snapshot in the cache of Hugging Face consists of links to the blobs beside it.
    blobs = root.parent.parent / "blobs" if root.parent.name == "snapshots" else root
    found: dict[str, Extent] = {}
    for above, folders, names in os.walk(root):
        depth = len(Path(above).relative_to(root).parts)
        if depth >= _DEEPEST:
            folders.clear()
        for name in names:
            path = Path(above) / name
            try:
                target = path.resolve()
            except (OSError, RuntimeError) as error:
                raise DataError("is a link that leads nowhere", path=path, hint=_HINT) from error
            if path.is_symlink() and not (target.is_relative_to(root) or target.is_relative_to(blobs)):
                raise DataError("is a link that leads out of the folder", path=path, hint=_HINT)
            if target.is_file():
                found[path.relative_to(root).as_posix()] = Extent(
                    folder / path.relative_to(root), 0, target.stat().st_size
                )
        if len(found) > _MOST_FILES:
            raise DataError(f"has more than {_MOST_FILES:,} files", path=folder, hint=_HINT)
    return found


def _archive_files(path: Path) -> dict[str, Extent]:
    whole = Extent(path, 0, path.stat().st_size)
    found: dict[str, Extent] = {}
    try:
        with ExtentReader(whole) as reader, tarfile.open(fileobj=reader, mode="r:") as archive:
            for member in archive:
                name = _member_name(member, path)
                if name is None:
                    continue
                if name in found:
                    raise _refused(path, member, "occurs twice")
                found[name] = whole.part(member.offset_data, member.size, name)
                if len(found) > _MOST_FILES:
                    raise DataError(f"has more than {_MOST_FILES:,} members", path=path, hint=_HINT)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise DataError(f"is not a .nemo file: {_what(path, error)}", path=path, hint=_OTHER) from error
    if not found:
        raise DataError("is an archive without files", path=path, hint=_HINT)
    return found


_OTHER = "Use a .nemo file, which is an uncompressed tar archive, or the folder of a checkpoint."


def _what(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        begin = stream.read(4)
    if begin[:2] == b"\x1f\x8b":
        return "it is compressed; run gunzip on it first"
    return str(error)


def _member_name(member: tarfile.TarInfo, path: Path) -> str | None:
    name = member.name.removeprefix("./")
    if member.isdir():
        return None
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name or not pure.parts:
        raise _refused(path, member, "leads out of the archive")
    if not member.isreg() or member.issparse():
        raise _refused(path, member, "is a link, a device or a sparse file")
    return pure.as_posix()


def _refused(path: Path, member: tarfile.TarInfo, why: str) -> DataError:
    return DataError(f"the member {member.name[:120]!r} {why}", path=path, hint=_HINT)
