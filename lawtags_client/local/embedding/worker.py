"""The process that embeds: ``python -m lawtags_client.local.embedding.worker FOLDER``.

One JSON object a line comes on standard input, one goes to standard output for it; it ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lawtags_client.errors import BadRequestError, LawtagsError

_BATCH = 32
_POOLING = Path("1_Pooling") / "config.json"


class Encoder:
    """A Hugging Face encoder with its pooling.

    Args:
        folder: its folder; weights as safetensors. Where sentence-transformers' pooling is described in it,
            that is followed; else tokens are averaged.
        threads: threads for computing; 0 leaves it to torch.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import AutoModel, AutoTokenizer

        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()
        self._first_token = _takes_first_token(folder)
        self._longest = min(self._tokenizer.model_max_length, self._model.config.max_position_embeddings)

    def embed(self, texts: Sequence[str], truncate: str = "END") -> tuple[list[list[float]], int]:
        """Vectors of length one, and the number of tokens.

        Args:
            texts: the texts.
            truncate: which end of a text that is too long to cut off; ``NONE`` refuses it.

        Raises:
            BadRequestError: a text is too long and is not to be cut.
        """
        vectors: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), _BATCH):
            found, count = self._batch(texts[start : start + _BATCH], truncate)
            vectors += found
            tokens += count
        return vectors, tokens

    def _batch(self, texts: Sequence[str], truncate: str) -> tuple[list[list[float]], int]:
        if truncate == "NONE":
            for text in texts:
                length = len(self._tokenizer(text)["input_ids"])
                if length > self._longest:
                    raise BadRequestError(f"A text has {length} tokens; the model takes {self._longest}")
        self._tokenizer.truncation_side = "left" if truncate == "START" else "right"
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        with self._torch.inference_mode():
            states = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = states[:, 0] if self._first_token else (states * mask).sum(1) / mask.sum(1)
            vectors = self._torch.nn.functional.normalize(pooled, dim=-1)
        return vectors.tolist(), int(batch["attention_mask"].sum())


def _takes_first_token(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _POOLING).read_text("utf-8")).get("pooling_mode_cls_token"))
    except FileNotFoundError:
        return False


def _answer(encoder: Encoder, request: dict[str, Any]) -> dict[str, Any]:
    try:
        vectors, tokens = encoder.embed(request["texts"], request["truncate"])
    except LawtagsError as error:
        return {"refused": error.message}
    return {"vectors": vectors, "tokens": tokens}


def main(arguments: list[str]) -> int:
    """Answer until the input ends."""
    encoder = Encoder(Path(arguments[0]), int(arguments[1]))
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(_answer(encoder, json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
