"""Looking at a folder of training rows before a byte of it is sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.services.data_store.rows import Kind, Repeats, RowCheck

SPLITS = ("training", "validation", "testing")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds.

    Args:
        files: path below the folder (with slashes) to the file.
        rows: how many rows each split has.
        kind: whether rows are prompts with completions or conversations.
        longest: the letters of the longest row of each split.
        left_out: what else lies in the folder and is not sent.
        repeats: rows of one split whose prompt stands in the same or another one before; between training
            and the others it makes scores too good.
    """

    files: dict[str, Path]
    rows: dict[str, int]
    kind: Kind
    longest: dict[str, int]
    repeats: dict[tuple[str, str], Repeats]
    left_out: tuple[str, ...] = ()


def check(folder: Path, required: Sequence[str] = ("training", "validation")) -> Layout:
    """Check that a folder is laid out as the Customizer wants it, and every row in it.

    Args:
        folder: holds ``training/*.jsonl``, ``validation/*.jsonl`` and, if there is one, ``testing/``.
        required: the splits that must be there; without validation the service silently holds out a tenth
            of the training rows.

    Raises:
        DataError: something is missing, or a row is wrong; names file, line and field.
    """
    if folder.is_file():
        hint = "Pass the folder that lawtags curate wrote, with training/ and validation/ in it."
        raise DataError("is a file, not a folder", path=folder, hint=hint, wrong_path=True)
    if not folder.is_dir():
        hint = "Create it with: lawtags curate … --out"
        raise DataError("there is no such folder", path=folder, hint=hint, wrong_path=True)
    files: dict[str, Path] = {}
    left_out = [
        _shown(path) for path in sorted(folder.iterdir()) if path.name not in (*SPLITS, *_OF_CURATION)
    ]
    found = RowCheck()
    for split in SPLITS:
        paths, others = _rows_in(folder / split)
        left_out += [f"{split}/{name}" for name in others]
        for path in paths:
            if path.is_symlink():
                raise DataError(
                    "symbolic links are not followed", path=path, hint="Copy the file itself there."
                )
            files[f"{split}/{path.name}"] = path
            found.read(path, split)
        if split in required and not found.rows.get(split):
            what = "no *.jsonl file" if not paths else "no row"
            raise DataError(f"{what} for {split}", path=folder / split, hint=_HINT)
    if found.kind is None:
        raise DataError("there are no rows", path=folder, hint=_HINT)
    rows = {split: number for split, number in found.rows.items() if number}
    return Layout(files, rows, found.kind, found.longest, found.repeats, tuple(left_out))


def describe_left_out(names: Sequence[str]) -> str:
    """A sentence on what is not sent; empty where that is nothing."""
    if not names:
        return ""
    told = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"not uploaded, because only *.jsonl files are: {told}{more}"


def _is_leftover(name: str) -> bool:
    """Whether a file is none of the user's: systems leave them in every folder that they look into."""
    return name.startswith("._") or name.lower() in _LEFTOVERS


def _rows_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of rows in a folder, and the names of all else in it."""
    rows: list[Path] = []
    others: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".jsonl" and path.is_file() and not _is_leftover(path.name):
            _check_name(path)
            rows.append(path)
        else:
            others.append(_shown(path))
    return rows, others


def _check_name(path: Path) -> None:
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError("has a name that is not UTF-8", path=path, hint="Rename the file.") from None


def _shown(path: Path) -> str:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return f"{name}/" if path.is_dir() else name


# What lawtags curate writes beside the rows.
_OF_CURATION = ("questions", "rejected.jsonl", "curation.json", "curation.html", ".curation")
_LEFTOVERS = (".ds_store", "thumbs.db", "desktop.ini", "__macosx")
_NAMED = 10
_HINT = "The folder must contain training/*.jsonl, validation/*.jsonl and testing/*.jsonl."
