"""Frees disk space: unreferenced files, and leftovers of finished jobs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.engines.training.job import BEST_FOLDER, CHECKPOINT_FOLDER, DATA_FOLDER, RESULT_FOLDER
from lawtags_stack.lock import stack_lock
from lawtags_stack.store import Blobs, Database, Documents
from lawtags_stack.times import Clock, utc_now

KEPT = timedelta(hours=1)
"""How long an uploaded file without a commit is kept."""

_SCRATCH = (DATA_FOLDER, CHECKPOINT_FOLDER, BEST_FOLDER, RESULT_FOLDER, f".{RESULT_FOLDER}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be.

    Args:
        blobs: number of files that no commit references.
        blob_bytes: their size.
        trees: number of snapshots of deleted repositories.
        folders: working folders of finished or deleted jobs, and of models that are no longer served.
        folder_bytes: their size.
    """

    blobs: int
    blob_bytes: int
    trees: int
    folders: int
    folder_bytes: int

    def as_dict(self) -> dict[str, int]:
        """Convert to a JSON object."""
        return asdict(self) | {"bytes": self.blob_bytes + self.folder_bytes}


def prune(dir: Path, *, kept: timedelta = KEPT, dry_run: bool = False, clock: Clock = utc_now) -> Pruned:
    """Delete unreferenced data from the folder of a stopped stack.

    Args:
        dir: the stack's folder.
        kept: keep files uploaded within this time even if no commit references them, since their upload may
            still be in progress.
        dry_run: count without deleting.
        clock: returns the time.

    Raises:
        BusyError: the stack is running.
        ConfigurationError: the folder is not a stack folder.
    """
    if not (dir / "stack.sqlite").exists():
        raise ConfigurationError(f"{dir} is not a stack folder", hint="Pass it with --dir.")
    with stack_lock(dir, clock=clock):
        database = Database(dir / "stack.sqlite")
        try:
            trees, held = _reachable(database)
            orphans = [key for key in _all_trees(database) if key not in trees]
            blobs = Blobs(dir / "blobs")
            forgotten = _unreferenced(blobs, held, clock().timestamp() - kept.total_seconds())
            folders = [path for path in _leftovers(dir, database) if path.exists()]
            sizes = [blob.size for blob in blobs if blob.sha256 in forgotten]
            found = Pruned(
                len(forgotten), sum(sizes), len(orphans), len(folders), sum(map(folder_bytes, folders))
            )
            if not dry_run:
                # Rows before their files: a crash in between leaves no dangling reference.
                with database.transaction() as connection:
                    for key in orphans:
                        connection.execute("DELETE FROM data_store_trees WHERE key = ?", (key,))
                for sha256 in forgotten:
                    blobs.delete(sha256)
                for folder in folders:
                    shutil.rmtree(folder)
                database.rows("VACUUM")
        finally:
            database.close()
    return found


def folder_bytes(folder: Path) -> int:
    """Total size of the files in a folder; links do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue  # deleted concurrently
    return total


def _reachable(database: Database) -> tuple[set[str], set[str]]:
    """The snapshots that commits reference, and the blobs in them and in filesets."""
    blobs = {row["sha256"] for row in _rows(database, "helix_files", "DISTINCT sha256")}
    rows = _rows(database, "data_store_commits", "DISTINCT tree")
    waiting, trees = [row["tree"] for row in rows], set[str]()
    while waiting:
        key = waiting.pop()
        if key in trees:
            continue
        trees.add(key)
        row = database.row("SELECT entries FROM data_store_trees WHERE key = ?", (key,))
        for entry in json.loads(row["entries"]).values() if row else ():
            if "tree" in entry:
                waiting.append(entry["tree"])
            else:
                blobs.add(entry["sha256"])
    return trees, blobs


def _all_trees(database: Database) -> Iterable[str]:
    return [row["key"] for row in _rows(database, "data_store_trees", "key")]


def _rows(database: Database, table: str, columns: str) -> list[sqlite3.Row]:
    """The rows of a table, which a stack of the other dialect has not."""
    known = database.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return database.rows(f"SELECT {columns} FROM {table}") if known else []


def _unreferenced(blobs: Blobs, held: set[str], before: float) -> set[str]:
    return {blob.sha256 for blob in blobs if blob.sha256 not in held and blob.stored < before}


def _leftovers(dir: Path, database: Database) -> list[Path]:
    # Imported here, since `lawtags local status` uses this module and needs no services.
    from lawtags_stack.services.customizer import records as customizer
    from lawtags_stack.services.evaluator import records as evaluator

    jobs = [customizer.JOB.read(each).job for each in Documents(database, customizer.JOBS_TABLE)]
    trainings = {job.id: job.status for job in jobs}
    evaluations = {evaluator.JOB.read(each).id for each in Documents(database, evaluator.JOBS_TABLE)}
    found: list[Path] = []
    for folder in _folders(dir / "customizer" / "jobs"):
        if folder.name not in trainings:
            found.append(folder)
        elif trainings[folder.name] in FINAL_JOB_STATES:
            found += [folder / name for name in _SCRATCH]
    found += [folder for folder in _folders(dir / "evaluator") if folder.name not in evaluations]
    # Links to blobs, which are recreated when a deployment needs them.
    return found + _folders(dir / "nim" / "models")


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
