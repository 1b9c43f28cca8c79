"""Looking at a folder of training rows before a byte of it is sent."""

from __future__ import annotations

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
        repeats: rows of one split whose prompt stands in the same or another one before; between training
            and the others it makes scores too good.
    """

    files: dict[str, Path]
    rows: dict[str, int]
    kind: Kind
    longest: dict[str, int]
    repeats: dict[tuple[str, str], Repeats]


def check(folder: Path, required: Sequence[str] = ("training", "validation")) -> Layout:
    """Check that a folder is laid out as the Customizer wants it, and every row in it.

    Args:
        folder: holds ``training/*.jsonl``, ``validation/*.jsonl`` and, if there is one, ``testing/``.
        required: the splits that must be there; without validation the service silently holds out a tenth
            of the training rows.

    Raises:
        DataError: something is missing, or a row is wrong; names file, line and field.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", path=folder, hint="Make it with: lawtags curate … --out")
    files: dict[str, Path] = {}
    found = RowCheck()
    for split in SPLITS:
        paths = sorted(path for path in (folder / split).glob("*.jsonl") if path.is_file())
        for path in paths:
            if path.is_symlink():
                raise DataError("a link is not followed", path=path, hint="Put the file itself there.")
            files[f"{split}/{path.name}"] = path
            found.read(path, split)
        if split in required and not found.rows.get(split):
            what = "no *.jsonl file" if not paths else "no row"
            raise DataError(f"{what} for {split}", path=folder / split, hint=_HINT)
    if found.kind is None:
        raise DataError("there are no rows", path=folder, hint=_HINT)
    rows = {split: number for split, number in found.rows.items() if number}
    return Layout(files, rows, found.kind, found.longest, found.repeats)


_HINT = "The folder holds training/*.jsonl, validation/*.jsonl and testing/*.jsonl."
