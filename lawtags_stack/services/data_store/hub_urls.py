"""URLs of files in the Data Store, such as ``hf://datasets/ns/repo/path``."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.errors import UnprocessableError
from lawtags_client.types.data_store import RepoType
from lawtags_stack.http.ids import unseen_character
from lawtags_stack.services.data_store.errors import BadPathError

_LONGEST_PATH = 1024


@dataclass(frozen=True, slots=True)
class FilesUrl:
    """The location of files: a repository at a revision, optionally with the path of a file or folder."""

    repo_type: RepoType
    namespace: str
    repo: str
    revision: str = "main"
    path: str = ""

    def __str__(self) -> str:
        prefix = "datasets/" if self.repo_type == "dataset" else ""
        at = f"@{self.revision}" if self.revision != "main" else ""
        path = f"/{self.path}" if self.path else ""
        return f"hf://{prefix}{self.namespace}/{self.repo}{at}{path}"


def parse_files_url(url: str) -> FilesUrl:
    """Parse a ``files_url``.

    Example:
        >>> parse_files_url("hf://datasets/law/tags/testing/testing.jsonl").path
        'testing/testing.jsonl'

    Raises:
        UnprocessableError: it is not a URL of the Data Store.
    """
    unseen = unseen_character(url)
    if unseen is not None:
        raise UnprocessableError(f"files_url {url[:200]!r} contains the invisible character {unseen}")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("hf", "nds"):
        raise UnprocessableError(f"files_url {url[:200]!r} does not begin with hf:// or nds://")
    repo_type: RepoType = "model"
    for prefix, kind in (("datasets/", "dataset"), ("models/", "model")):
        if rest.startswith(prefix):
            rest = rest.removeprefix(prefix)
            repo_type = "dataset" if kind == "dataset" else "model"
            break
    namespace, _, rest = rest.partition("/")
    repo, _, path = rest.partition("/")
    repo, at, revision = repo.partition("@")
    if not namespace or not repo or (at and not revision):
        raise UnprocessableError(
            f"files_url {url[:200]!r} does not name a repository; expected hf://datasets/<namespace>/<repository>"
        )
    path = path.rstrip("/")
    return FilesUrl(repo_type, namespace, repo, revision or "main", check_path(path) if path else "")


def check_path(path: str) -> str:
    """Reject paths that escape a folder, that git does not allow, or that look like another path.

    Raises:
        BadPathError: the path is absolute, contains ``..``, empty parts, a backslash, or control or format
            characters, or is too long.
    """
    parts = path.split("/")
    unseen = unseen_character(path)
    if unseen is not None:
        why = f"it contains the invisible character {unseen}"
    elif len(path.encode("utf-8")) > _LONGEST_PATH:
        why = f"it is longer than {_LONGEST_PATH} bytes"
    elif any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        why = "parts of it may not be empty, '.', '..' or '.git'"
    elif "\\" in path:
        why = "it contains a backslash"
    else:
        return path
    raise BadPathError(f"The path {path[:200]!r} is not allowed in a repository: {why}")
