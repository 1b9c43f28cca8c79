"""Embeddings (``POST /v1/embeddings``)."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

from lawtags_client.errors import BadRequestError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.inference import EmbeddingRequest
from lawtags_stack.engines.embedding.process import EmbeddingProcess
from lawtags_stack.service import StackContext
from lawtags_stack.services.nim.limits import check_embedding
from lawtags_stack.services.nim.parameters import check_embedding_parameters

MOST_TEXTS = 2048


class Embeddings:
    """The embedding models of a stack.

    Args:
        context: the stack; its options name the models' folders.
    """

    def __init__(self, context: StackContext) -> None:
        self._created = int(context.clock().timestamp())
        asked = context.options
        # Encoders are small, so on a CPU they always compute in float32.
        precision = "float32" if asked.inference_precision == "float32" else "auto"
        self._processes = {
            name: EmbeddingProcess(
                folder, _log(context.dir, name), asked.inference_threads, asked.device, precision
            )
            for name, folder in asked.embedding_models.items()
        }

    def listed(self) -> list[JsonObject]:
        """The models as in ``GET /v1/models``."""
        about: JsonObject = {"object": "model", "created": self._created, "parent": None, "permission": []}
        return [
            {"id": name, **about, "owned_by": name.partition("/")[0], "root": name}
            for name in self._processes
        ]

    async def answer(self, request: EmbeddingRequest) -> JsonObject:
        """Compute the embeddings for a request.

        Raises:
            NotFoundError: the embedding model does not exist.
            BadRequestError: a parameter is invalid or unsupported.
        """
        process = self._processes.get(request.model)
        if process is None:
            raise NotFoundError(f"The embedding model `{request.model[:200]}` does not exist")
        texts = [request.input] if isinstance(request.input, str) else request.input
        if not 0 < len(texts) <= MOST_TEXTS:
            raise BadRequestError(f"input must contain 1 to {MOST_TEXTS} texts, not {len(texts)}")
        check_embedding(request)
        check_embedding_parameters(request)
        truncate = request.truncate or "NONE"
        if truncate not in ("NONE", "START", "END"):
            raise BadRequestError(f"truncate must be NONE, START or END, not {truncate[:80]!r}")
        vectors, tokens = await process.embed(texts, truncate)
        if request.dimensions not in (None, len(vectors[0])):
            raise BadRequestError(
                f"This model returns {len(vectors[0])} dimensions, not {request.dimensions}"
            )
        write = _packed if request.encoding_format == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": write(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": request.model, "usage": usage}

    def __bool__(self) -> bool:
        return bool(self._processes)

    async def stop(self) -> None:
        """Stop the embedding processes."""
        for process in self._processes.values():
            await process.stop()


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _log(dir: Path, name: str) -> Path:
    return dir / "nim" / f"{name.replace('/', '--')}.log"
