"""Wire models of the Data Store: namespaces, repositories, LFS and commits of its Hugging Face API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import CamelModel, Items, Size, UtcDateTime, WireModel

RepoType: TypeAlias = Literal["dataset", "model"]
UploadMode: TypeAlias = Literal["lfs", "regular"] | str


class DataStoreNamespace(WireModel):
    """A namespace of the Data Store; independent of the Entity Store's of the same name."""

    namespace: str
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class RepoCreateRequest(WireModel):
    """``POST /v1/hf/api/repos/create``; an absent type means a model repository."""

    name: str
    organization: str | None = None
    type: str | None = None
    private: bool | None = None


class RepoDeleteRequest(WireModel):
    """``DELETE /v1/hf/api/repos/delete``."""

    name: str
    organization: str | None = None
    type: str | None = None


class RepoCreated(WireModel):
    """The answer to a repository's creation."""

    url: str | None = None
    id: str | None = None
    name: str | None = None


class Sibling(WireModel):
    """A file of a repository, by name."""

    rfilename: str
    size: int | None = None


class RepoInfo(CamelModel):
    """A repository at one revision."""

    id: str | None = None
    sha: str | None = None
    author: str | None = None
    private: bool | None = None
    last_modified: UtcDateTime | None = None
    created_at: UtcDateTime | None = None
    siblings: Items[Sibling] = Field(default_factory=list)


class RepoRef(CamelModel):
    """A branch or tag of a repository."""

    name: str
    target_commit: str


class RepoRefs(WireModel):
    """``GET /v1/hf/api/{type}s/{repo}/refs``."""

    branches: Items[RepoRef] = Field(default_factory=list)


class PreuploadFile(WireModel):
    """A file announced before its upload; ``sample`` is the base64 of its first 512 bytes."""

    path: str
    size: int
    sample: str | None = None


class PreuploadRequest(WireModel):
    """``POST /v1/hf/api/{type}s/{repo}/preupload/{revision}``."""

    files: list[PreuploadFile]


class PreuploadDecision(CamelModel):
    """How one announced file is to be sent."""

    path: str
    upload_mode: UploadMode = "regular"
    should_ignore: bool = False
    oid: str | None = None


class PreuploadResponse(WireModel):
    """The answer to a pre-upload."""

    files: Items[PreuploadDecision] = Field(default_factory=list)


class LfsPointer(CamelModel):
    """What stands in git for a large file."""

    oid: str
    size: Size | None = None
    pointer_size: int | None = None


class LfsObject(WireModel):
    """A large file by its SHA-256."""

    oid: str
    size: int


class LfsRef(WireModel):
    """The branch that an LFS request concerns."""

    name: str


class LfsBatchRequest(WireModel):
    """``POST /v1/hf/{type}s/{repo}.git/info/lfs/objects/batch``."""

    operation: Literal["upload", "download"] | str
    objects: list[LfsObject]
    transfers: list[str] | None = None
    hash_algo: str | None = None
    ref: LfsRef | None = None


class LfsAction(WireModel):
    """A link to send to, with headers to send along."""

    href: str = Field(repr=False)
    header: dict[str, str] | None = Field(default=None, repr=False)
    expires_in: int | None = None
    expires_at: str | None = None


class LfsActions(WireModel):
    """What is to be done with an object; all absent where it is already stored."""

    upload: LfsAction | None = None
    verify: LfsAction | None = None
    download: LfsAction | None = None


class LfsObjectError(WireModel):
    """Why an object cannot be taken or given."""

    code: int | None = None
    message: str | None = None


class LfsObjectAnswer(WireModel):
    """One object of a batch answer."""

    oid: str
    size: int | None = None
    actions: LfsActions | None = None
    error: LfsObjectError | None = None


class LfsBatchResponse(WireModel):
    """The answer to an LFS batch."""

    transfer: str | None = None
    objects: Items[LfsObjectAnswer] = Field(default_factory=list)


class CommitHeader(CamelModel):
    """First line of a commit."""

    summary: str
    description: str = ""
    parent_commit: str | None = None


class CommitLfsFile(WireModel):
    """A commit's line for a file whose content went through LFS."""

    path: str
    oid: str
    algo: str = "sha256"
    size: int | None = None


class CommitFile(WireModel):
    """A commit's line for a small file, content included."""

    path: str
    content: str
    encoding: str = "base64"


class CommitDeletion(WireModel):
    """A commit's line for a file or folder that goes."""

    path: str


class CommitLine(WireModel):
    """One line of a commit's NDJSON: its kind and its content."""

    key: Literal["header", "lfsFile", "file", "deletedFile", "deletedFolder"] | str
    value: Mapping[str, JsonValue]


class CommitInfo(CamelModel):
    """The answer to a commit; real servers leave ``commit_url`` empty."""

    commit_url: str | None = None
    commit_oid: str | None = None
    hook_output: str | None = None
    success: bool | None = None


class TreeEntry(WireModel):
    """A file or folder of a repository; ``lfs.oid`` is the SHA-256 of a large file."""

    type: Literal["file", "directory"] | str
    path: str
    oid: str | None = None
    size: Size | None = None
    lfs: LfsPointer | None = None
