"""Sending files to a repository: pre-upload, LFS batch, PUT and verify, commit.

The requests of the Hugging Face protocol are spoken here directly, so that an upload does not depend on
which version of its client library is installed, nor on extensions that the Data Store lacks. An interrupted
upload resumes by itself: what the repository holds already, by hash, is not sent again, and a large file that
arrived before the commit is known to LFS by its hash.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lawtags_client.errors import APIError, ConfigurationError, ProtocolError
from lawtags_client.services.data_store.contents import (
    ANSWER,
    SLOWEST,
    LocalFile,
    Sending,
    Source,
    describe_some,
)
from lawtags_client.services.data_store.links import Links
from lawtags_client.services.data_store.repositories import Repositories, Repository
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import segment
from lawtags_client.types.data_store import (
    CommitDeletion,
    CommitFile,
    CommitHeader,
    CommitInfo,
    CommitLfsFile,
    CommitLine,
    LfsBatchRequest,
    LfsBatchResponse,
    LfsObject,
    LfsObjectAnswer,
    LfsRef,
    PreuploadFile,
    PreuploadRequest,
    PreuploadResponse,
    TreeEntry,
)

OnBytes = Callable[[int, int], None]

_AT_ONCE = 4
_FILES_A_REQUEST = 200
_BYTES_A_COMMIT = 16 << 20
_LFS_JSON = {"accept": "application/vnd.git-lfs+json", "content-type": "application/vnd.git-lfs+json"}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload did.

    Args:
        commit: the repository's newest commit, where the server names it.
        files: every file to its SHA-256.
        sent: the paths that had to be sent; the others were there already.
        deleted: the paths that were dropped.
    """

    commit: str | None
    files: dict[str, str]
    sent: tuple[str, ...]
    deleted: tuple[str, ...]


class Uploader:
    """Sends files to one repository.

    Args:
        http: the way to the Data Store.
        links: how LFS links are reached.
        repository: where to.
        revision: the branch.
        on_bytes: called with the bytes done and the total.
    """

    def __init__(
        self,
        http: ServiceTransport,
        links: Links,
        repository: Repository,
        revision: str = "main",
        on_bytes: OnBytes | None = None,
    ) -> None:
        self._http = http
        self._links = links
        self._repository = repository
        self._revision = revision
        self._on_bytes = on_bytes
        self._done = 0
        self._total = 0

    async def upload(
        self, sources: Mapping[str, Source], *, message: str, prune: Iterable[str] = ()
    ) -> Uploaded:
        """Send what the repository does not have, and see by hash that it is there afterwards.

        Args:
            sources: path in the repository to content.
            message: of the commit.
            prune: folders in which files that are not among ``sources`` are dropped.

        Raises:
            DataError: a file cannot be read, or changes while it is sent.
            ProtocolError: the repository holds something else afterwards.
            APIError: the service refused.
        """
        files: list[LocalFile] = []
        entries = iter(sorted(sources.items()))
        while some := await asyncio.to_thread(describe_some, entries):
            files += some
        there = await self._tree()
        prefixes = tuple(f"{folder}/" for folder in prune)
        stale = sorted(
            path for path in there if prefixes and path.startswith(prefixes) and path not in sources
        )
        missing = [file for file in files if not file.is_at(there.get(file.path))]
        self._total = sum(file.size for file in files)
        self._advance(self._total - sum(file.size for file in missing))
        if missing or stale:
            await self._send(missing, stale, message)
            there = await self._tree()
            wrong = [file.path for file in files if not file.is_at(there.get(file.path))]
            if wrong:
                raise ProtocolError(
                    f"{self._repository}: {', '.join(wrong[:5])} arrived with different content",
                    hint="Upload again. If that fails as well, delete the repository first.",
                    service="data_store",
                )
        info = await Repositories(self._http).info(self._repository, self._revision)
        return Uploaded(
            info.sha, {file.path: file.sha256 for file in files}, tuple(f.path for f in missing), tuple(stale)
        )

    async def delete(self, paths: Iterable[str], *, message: str) -> None:
        """Drop files.

        Raises:
            APIError: the service refused; a file that is not there may be a reason.
        """
        lines = [_line("deletedFile", CommitDeletion(path=path)) for path in paths]
        if lines:
            await self._commit(lines, message)

    async def _tree(self) -> dict[str, TreeEntry]:
        entries = await Repositories(self._http).tree(self._repository, self._revision)
        return {entry.path: entry for entry in entries}

    async def _send(self, missing: list[LocalFile], stale: list[str], message: str) -> None:
        modes: dict[str, str] = {}
        for part in _parts(missing, _FILES_A_REQUEST):
            modes |= await self._preupload(part)
        large = [file for file in missing if modes.get(file.path) == "lfs"]
        for part in _parts(large, _FILES_A_REQUEST):
            await self._send_large(part)
        lines = [_line("deletedFile", CommitDeletion(path=path)) for path in stale]
        lines += [
            _line("lfsFile", CommitLfsFile(path=file.path, oid=file.sha256, algo="sha256", size=file.size))
            for file in large
        ]
        small = iter([file for file in missing if modes.get(file.path) != "lfs"])
        while some := await asyncio.to_thread(_read_some, small):
            await self._commit(lines + [line for line, _ in some], message)
            self._advance(sum(size for _, size in some))
            lines = []
        if lines:
            await self._commit(lines, message)

    async def _preupload(self, files: list[LocalFile]) -> dict[str, str]:
        announced = [
            PreuploadFile(path=file.path, size=file.size, sample=base64.b64encode(file.sample).decode())
            for file in files
        ]
        path = f"{self._repository.api}/preupload/{segment(self._revision)}"
        body = PreuploadRequest(files=announced).to_wire()
        data = await self._http.json(Call("POST", path, json=body, repeatable=True))
        answers = (await parse(PreuploadResponse, data, self._http)).files
        ignored = [answer.path for answer in answers if answer.should_ignore]
        if ignored:
            raise ConfigurationError(
                f"the repository's .gitignore excludes {', '.join(ignored[:5])}", hint="Rename the files."
            )
        return {answer.path: answer.upload_mode for answer in answers}

    async def _send_large(self, files: list[LocalFile]) -> None:
        objects = {file.sha256: LfsObject(oid=file.sha256, size=file.size) for file in files}
        body = LfsBatchRequest(
            operation="upload",
            transfers=["basic"],
            objects=list(objects.values()),
            hash_algo="sha256",
            ref=LfsRef(name=self._revision),
        ).to_wire()
        path = f"{self._repository.files}.git/info/lfs/objects/batch"
        data = await self._http.json(Call("POST", path, json=body, headers=_LFS_JSON, repeatable=True))
        answers = {answer.oid: answer for answer in (await parse(LfsBatchResponse, data, self._http)).objects}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(file: LocalFile) -> None:
            async with gate:
                await self._send_object(file, answers.get(file.sha256))

        unique = {file.sha256: file for file in files}.values()
        try:
            async with asyncio.TaskGroup() as group:
                for file in unique:
                    group.create_task(one(file))
        except BaseExceptionGroup as failed:
            # The others were cancelled for the first one's sake; that is the one to tell about.
            raise failed.exceptions[0] from None

    async def _send_object(self, file: LocalFile, answer: LfsObjectAnswer | None) -> None:
        if answer is None or answer.error is not None:
            reason = answer.error.message if answer and answer.error else "it is not in the response"
            raise APIError(f"the Data Store refused {file.path}: {reason}", service="data_store")
        actions = answer.actions
        if actions is None or actions.upload is None:
            self._advance(file.size)
            return
        headers = {**(actions.upload.header or {}), "content-length": str(file.size)}
        with Sending(file) as sending:
            upload = Call(
                "PUT",
                actions.upload.href,
                content=sending.chunks,
                headers=headers,
                token=False,
                read_timeout=ANSWER,
                total_timeout=ANSWER + file.size / SLOWEST,
            )
            await self._links.send(upload)
        if actions.verify is not None:
            check = LfsObject(oid=file.sha256, size=file.size).to_wire()
            sent = {**_LFS_JSON, **(actions.verify.header or {})}
            verify = Call(
                "POST",
                actions.verify.href,
                json=check,
                headers=sent,
                repeatable=True,
                read_timeout=ANSWER,
                total_timeout=ANSWER,
            )
            await self._links.send(verify)
        self._advance(file.size)

    async def _commit(self, lines: list[bytes], message: str) -> None:
        header = _line("header", CommitHeader(summary=message, description=""))
        body = b"\n".join([header, *lines])
        path = f"{self._repository.api}/commit/{segment(self._revision)}"
        headers = {"content-type": "application/x-ndjson"}
        # Committing the same content twice leaves the same files, so a lost answer may be asked for again.
        call = Call("POST", path, content=body, headers=headers, repeatable=True)
        answer = await parse(CommitInfo, await self._http.json(call) or {}, self._http)
        if answer.success is False:
            raise ProtocolError(f"the commit to {self._repository} failed", service="data_store")

    def _advance(self, size: int) -> None:
        self._done += size
        if self._on_bytes is not None:
            self._on_bytes(self._done, self._total)


def _line(key: str, value: CommitHeader | CommitLfsFile | CommitFile | CommitDeletion) -> bytes:
    from orjson import dumps

    return dumps(CommitLine(key=key, value=value.to_wire()).to_wire())


def _read_some(files: Iterator[LocalFile]) -> list[tuple[bytes, int]]:
    """Lines of a commit that carry the next files, up to some bytes, and the files' sizes."""
    found: list[tuple[bytes, int]] = []
    weight = 0
    for file in files:
        text = base64.b64encode(file.content()).decode("ascii")
        line = _line("file", CommitFile(path=file.path, content=text, encoding="base64"))
        found.append((line, file.size))
        weight += len(line)
        if weight > _BYTES_A_COMMIT:
            break
    return found


def _parts(files: list[LocalFile], size: int) -> Iterable[list[LocalFile]]:
    return (files[start : start + size] for start in range(0, len(files), size))
