"""The operations of a Hugging Face client on a Data Store, with any version of huggingface_hub.

``python hub_scenario.py URL NAMESPACE`` prints the successful steps as JSON, and stops at the first failure.
It needs only huggingface_hub, so it can run in a minimal environment.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SMALL = '{"prompt": "Title: é\\nTags:", "completion": "landlord"}\n' * 20
LARGE = bytes(range(256)) * 48_000


def steps(endpoint: str, namespace: str, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The steps, each with its name."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="any")
    repo: Any = {"repo_id": f"{namespace}/rows", "repo_type": "dataset"}
    source = folder / "source"
    (source / "training").mkdir(parents=True)
    (source / "training" / "é.jsonl").write_text(SMALL, "utf-8")
    (source / "weights.bin").write_bytes(LARGE)

    def same() -> None:
        copy = Path(api.snapshot_download(**repo, local_dir=folder / "copy"))
        assert (copy / "training" / "é.jsonl").read_text("utf-8") == SMALL
        assert (copy / "weights.bin").read_bytes() == LARGE

    def one_file() -> None:
        path = api.hf_hub_download(**repo, filename="training/é.jsonl", local_dir=folder / "one")
        assert Path(path).read_text("utf-8") == SMALL

    def listed() -> None:
        assert sorted(api.list_repo_files(**repo)) == ["training/é.jsonl", "weights.bin"]
        assert {entry.path for entry in api.list_repo_tree(**repo)} == {"training", "weights.bin"}
        assert [each.id for each in api.list_datasets(author=namespace)] == [repo["repo_id"]]

    def looked_up() -> None:
        assert api.file_exists(**repo, filename="weights.bin")
        assert not api.file_exists(**repo, filename="nothing")
        assert api.repo_exists(**repo)
        assert len(api.dataset_info(repo["repo_id"]).sha) == 40
        [found] = api.get_paths_info(**repo, paths=["weights.bin"])
        assert found.size == len(LARGE)

    def history() -> None:
        titles = [commit.title for commit in api.list_repo_commits(**repo)]
        assert len(titles) >= 2, titles

    def branches() -> None:
        api.create_branch(**repo, branch="v2")
        api.create_tag(**repo, tag="v1")
        refs = api.list_repo_refs(**repo)
        assert {ref.name for ref in refs.branches} == {"main", "v2"}
        assert [ref.name for ref in refs.tags] == ["v1"]

    def replaced() -> None:
        api.upload_file(**repo, path_or_fileobj=b"new", path_in_repo="new.txt")
        api.delete_file("new.txt", **repo)
        assert "new.txt" not in api.list_repo_files(**repo)

    def deleted() -> None:
        api.delete_repo(**repo)
        assert not api.repo_exists(**repo)

    yield "create a repository", lambda: api.create_repo(**repo)
    yield "create it again, if need be", lambda: api.create_repo(**repo, exist_ok=True)
    yield "upload a folder", lambda: api.upload_folder(**repo, folder_path=source)
    yield "list files, folders, repositories", listed
    yield "look up files", looked_up
    yield "download a file", one_file
    yield "download everything", same
    yield "upload and delete a file", replaced
    yield "history", history
    yield "branches and tags", branches
    yield "delete the repository", deleted


def main(url: str, namespace: str) -> int:
    """Run the scenario; returns 0 if all steps succeed."""
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = str(Path(folder) / "home")
        import huggingface_hub

        done: list[str] = []
        report: dict[str, Any] = {"version": huggingface_hub.__version__, "done": done, "problem": None}
        for name, step in steps(f"{url}/v1/hf", namespace, Path(folder)):
            try:
                step()
            except Exception as error:
                report["problem"] = f"{name}: {type(error).__name__}: {error}"
                break
            done.append(name)
        print(json.dumps(report))
    return 1 if report["problem"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
