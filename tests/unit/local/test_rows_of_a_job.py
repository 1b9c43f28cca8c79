"""Every row file of a data set reaches the trainer, whatever folders it stands in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_stack.services.customizer.datasets import find_data, place_rows
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.services.entity_store.state import EntityStoreState
from lawtags_stack.store import Blobs, Database

# Folder names that have led to collisions: those of the splits themselves, again and as parts of others.
FOLDERS = st.sampled_from(["training", "validation", "pretraining", "a", "training-2", "Training"])
PATHS = st.tuples(
    st.lists(FOLDERS, max_size=3).map(tuple), st.sampled_from(["a.jsonl", "b.jsonl", "training.jsonl"])
)


def placed(folder: Path, inside: str, paths: set[str]) -> dict[str, list[str]]:
    """The contents that the trainer is given by split; the content of a file is its own path."""
    database = Database(folder / "stack.sqlite")
    try:
        blobs = Blobs(folder / "blobs")
        store = DataStoreState(database, blobs)
        store.repo_create("dataset", "law", "rows", make_namespace=True)
        files: dict[str, bytes | Path] = {f"{inside}{path}": path.encode() for path in paths}
        store.commit("dataset", "law", "rows", files, "rows")
        data = find_data(EntityStoreState(database), store, f"hf://datasets/law/rows/{inside}".rstrip("/"))
        names = place_rows(blobs, data, folder / "job")
        return {
            split: sorted((folder / "job" / name).read_text() for name in found)
            for split, found in zip(("training", "validation"), names, strict=True)
        }
    finally:
        database.close()


@pytest.mark.parametrize("inside", ["", "training/", "a/validation/"])
def test_files_of_one_name_in_several_folders_are_all_trained_on(tmp_path: Path, inside: str) -> None:
    paths = {"training/a.jsonl", "training/pretraining/a.jsonl", "training/training/a.jsonl"}
    validation = {"validation/a.jsonl", "validation/training/a.jsonl"}
    found = placed(tmp_path, inside, paths | validation | {"testing/a.jsonl"})
    assert found == {"training": sorted(paths), "validation": sorted(validation)}


@settings(max_examples=15, deadline=None)
@given(paths=st.sets(PATHS, min_size=1, max_size=6))
def test_no_file_takes_another_s_place(paths: set[tuple[tuple[str, ...], str]]) -> None:
    wanted = {"/".join(["training", *folders, name]) for folders, name in paths}
    with tempfile.TemporaryDirectory() as folder:
        assert placed(Path(folder), "", wanted)["training"] == sorted(wanted)
