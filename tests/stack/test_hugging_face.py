"""The Data Store as huggingface_hub, a client we did not write, sees it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lawtags_stack.services.data_store.state import LARGEST_REGULAR
from lawtags_stack.stack import StackThread


@pytest.fixture
def api(stack: StackThread) -> HfApi:
    return HfApi(endpoint=f"{stack.data_store_url}/v1/hf", token="anything")


@pytest.fixture
def repo(api: HfApi, stack: StackThread) -> str:
    namespace = f"ns-{uuid.uuid4().hex[:8]}"
    answer = httpx.post(f"{stack.data_store_url}/v1/datastore/namespaces", data={"namespace": namespace})
    assert answer.status_code == 201
    name = f"{namespace}/questions"
    api.create_repo(name, repo_type="dataset")
    return name


def test_uploaded_folder_comes_back_whole(api: HfApi, repo: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, text in (
        ("training/training.jsonl", "{}\n" * 50),
        ("validation/v.jsonl", "{}\n"),
        ("é.txt", "§"),
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, "utf-8")
    info = api.upload_folder(folder_path=source, repo_id=repo, repo_type="dataset")
    assert len(info.oid) == 40
    files = api.list_repo_files(repo, repo_type="dataset")
    assert sorted(files) == ["training/training.jsonl", "validation/v.jsonl", "é.txt"]
    folder = snapshot_download(
        repo, repo_type="dataset", endpoint=api.endpoint, token=False, local_dir=tmp_path / "copy"
    )
    for path in (path for path in source.rglob("*") if path.is_file()):
        assert (Path(folder) / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_large_file_goes_through_lfs(
    api: HfApi, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What HF_HUB_DISABLE_XET=1 does at import.
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
    content = os.urandom(LARGEST_REGULAR + 1)
    (tmp_path / "big.bin").write_bytes(content)
    for _ in range(2):  # the second time nothing is sent, as the object is known
        api.upload_file(
            path_or_fileobj=tmp_path / "big.bin", path_in_repo="a/big.bin", repo_id=repo, repo_type="dataset"
        )
    [entry] = api.get_paths_info(repo, ["a/big.bin"], repo_type="dataset")
    assert entry.lfs.sha256 == hashlib.sha256(content).hexdigest()
    assert entry.lfs.pointer_size == 133
    path = hf_hub_download(
        repo, "a/big.bin", repo_type="dataset", endpoint=api.endpoint, local_dir=tmp_path / "d"
    )
    assert Path(path).read_bytes() == content


def test_git_names_are_those_that_git_computes(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"hello\n", path_in_repo="a/hello", repo_id=repo, repo_type="dataset")
    tree = {entry.path: entry for entry in api.list_repo_tree(repo, repo_type="dataset", recursive=True)}
    # printf 'hello\n' | git hash-object --stdin, and git's tree of a folder with that file alone.
    assert tree["a/hello"].blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"
    entry = b"100644 hello\0" + bytes.fromhex(tree["a/hello"].blob_id)
    assert tree["a"].tree_id == hashlib.sha1(b"tree %d\0" % len(entry) + entry).hexdigest()


def test_history_branches_and_tags(api: HfApi, repo: str) -> None:
    first = api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id=repo, repo_type="dataset")
    api.create_tag(repo, tag="v1", repo_type="dataset")
    api.create_branch(repo, branch="other", repo_type="dataset")
    second = api.upload_file(path_or_fileobj=b"2", path_in_repo="f", repo_id=repo, repo_type="dataset")
    api.upload_file(
        path_or_fileobj=b"3", path_in_repo="f", repo_id=repo, repo_type="dataset", revision="other"
    )
    read = {
        revision: Path(
            hf_hub_download(repo, "f", repo_type="dataset", endpoint=api.endpoint, revision=revision)
        ).read_bytes()
        for revision in ("main", "v1", "other", first.oid, second.oid)
    }
    assert read == {"main": b"2", "v1": b"1", "other": b"3", first.oid: b"1", second.oid: b"2"}
    commits = api.list_repo_commits(repo, repo_type="dataset")
    assert [commit.commit_id for commit in commits][:2] == [second.oid, first.oid]
    refs = api.list_repo_refs(repo, repo_type="dataset")
    assert {branch.name for branch in refs.branches} == {"main", "other"}
    assert [tag.target_commit for tag in refs.tags] == [first.oid]
    api.delete_tag(repo, tag="v1", repo_type="dataset")
    api.delete_branch(repo, branch="other", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(repo, repo_type="dataset", revision="v1")


def test_deleted_files_and_folders_are_gone(api: HfApi, repo: str, tmp_path: Path) -> None:
    for name in ("keep", "a/one", "a/two", "b/one"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    api.upload_folder(folder_path=tmp_path, repo_id=repo, repo_type="dataset")
    api.delete_file("b/one", repo, repo_type="dataset")
    api.delete_folder("a", repo, repo_type="dataset")
    assert api.list_repo_files(repo, repo_type="dataset") == ["keep"]
    assert not api.file_exists(repo, "a/one", repo_type="dataset")
    assert api.file_exists(repo, "keep", repo_type="dataset")


def test_missing_things_raise_what_they_should(api: HfApi, repo: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("nobody/nothing", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, "no", repo_type="dataset", endpoint=api.endpoint)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(repo, "no", repo_type="dataset", endpoint=api.endpoint, revision="none")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(repo, repo_type="dataset")
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    assert api.repo_exists(repo, repo_type="dataset")
    assert not api.repo_exists(repo, repo_type="model")


def test_repository_can_be_deleted_and_made_again(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id=repo, repo_type="dataset")
    api.delete_repo(repo, repo_type="dataset")
    assert not api.repo_exists(repo, repo_type="dataset")
    api.create_repo(repo, repo_type="dataset")
    assert api.list_repo_files(repo, repo_type="dataset") == []


def test_lists_by_author_and_model_cards(api: HfApi, repo: str) -> None:
    namespace = repo.split("/")[0]
    api.create_repo(f"{namespace}/model-a")  # a model, since no type is said
    api.upload_file(
        path_or_fileobj=b"---\nlicense: cc0-1.0\n---\n# Card\n",
        path_in_repo="README.md",
        repo_id=f"{namespace}/model-a",
    )
    assert [found.id for found in api.list_models(author=namespace)] == [f"{namespace}/model-a"]
    assert [found.id for found in api.list_datasets(author=namespace)] == [repo]
    assert api.model_info(f"{namespace}/model-a").siblings[0].rfilename == "README.md"


def test_long_lists_come_in_pages(api: HfApi, repo: str, stack: StackThread) -> None:
    files: dict[str, bytes | Path] = {f"f/{number}": b"%d" % number for number in range(7)}
    stack.stack.services[0].state.commit("dataset", *repo.split("/"), files, "some")
    url = f"{api.endpoint}/api/datasets/{repo}/tree/main?recursive=true&limit=3"
    found = []
    while url:
        answer = httpx.get(url)
        assert len(answer.json()) <= 3
        found += [entry["path"] for entry in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
    assert found == ["f", *sorted(files)]


def test_load_dataset_reads_a_repository(api: HfApi, repo: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    rows = b'{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n'
    api.upload_file(path_or_fileobj=rows, path_in_repo="training/t.jsonl", repo_id=repo, repo_type="dataset")
    address = f"{api.endpoint}/datasets/{repo}/resolve/main/training/t.jsonl"
    loaded = datasets.load_dataset(
        "json", data_files={"train": address}, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["completion"] == ["b", "d"]


def test_datasets_loads_a_data_set_from_the_stack(
    api: HfApi, repo: str, stack: StackThread, tmp_path: Path
) -> None:
    for part, rows in (("training", 3), ("validation", 2)):
        lines = "".join(f'{{"prompt": "Title: {part} {n}", "completion": "lease"}}\n' for n in range(rows))
        api.upload_file(
            path_or_fileobj=lines.encode(),
            path_in_repo=f"{part}/rows.jsonl",
            repo_id=repo,
            repo_type="dataset",
        )
    code = (
        "import sys, json, datasets\n"
        "files = {'train': 'training/*.jsonl', 'validation': 'validation/*.jsonl'}\n"
        "found = datasets.load_dataset(sys.argv[1], data_files=files)\n"
        "print(json.dumps({part: rows.to_list() for part, rows in found.items()}))"
    )
    environment = os.environ | {
        "HF_ENDPOINT": f"{stack.data_store_url}/v1/hf",
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", code, repo]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [row["prompt"] for row in found["train"]] == [f"Title: training {n}" for n in range(3)]
    assert [row["completion"] for row in found["validation"]] == ["lease", "lease"]
