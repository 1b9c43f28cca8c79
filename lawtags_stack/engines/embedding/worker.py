"""The embedding process: ``python -m lawtags_stack.engines.embedding.worker FOLDER THREADS DEVICE
PRECISION``.

It writes ``{"ready": true}`` once the model is loaded. Then it reads one JSON object per line from standard
input, and writes one response per line to standard output: ``vectors`` and ``tokens``, or the reason as
``refused`` or ``failed``. It exits at the end of its input.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from lawtags_client.errors import BadRequestError, LawtagsError, ServerError
from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.generation.answer_builder import failure
from lawtags_stack.engines.generation.encoding import check_unicode
from lawtags_stack.processes.frames import Message

_BATCH = 32
_POOLING = Path("1_Pooling") / "config.json"


class EmbeddingModel:
    """A Hugging Face encoder with its pooling.

    Args:
        folder: its folder, with safetensors weights. The pooling follows the sentence-transformers config
            if there is one; otherwise it is the mean of the tokens.
        threads: computing threads; 0 uses torch's default.
        compute: device and precision; None uses the CPU.
    """

    def __init__(self, folder: Path, threads: int = 0, compute: Compute | None = None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._compute = compute or Compute.choose("cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self._model = model.eval().to(self._compute.device)
        self._first_token = _takes_first_token(folder)
        self._longest = min(self._tokenizer.model_max_length, self._model.config.max_position_embeddings)

    def embed(self, texts: Sequence[str], truncate: str = "END") -> tuple[list[list[float]], int]:
        """Return vectors of length one, and the number of tokens.

        Args:
            texts: the texts.
            truncate: which end of a long text to cut off; ``NONE`` rejects it.

        Raises:
            BadRequestError: a text has no tokens, or is too long and must not be truncated.
            ConfigurationError: a text is not valid Unicode.
        """
        vectors: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), _BATCH):
            found, count = self._batch(texts[start : start + _BATCH], truncate)
            vectors += found
            tokens += count
        return vectors, tokens

    def _batch(self, texts: Sequence[str], truncate: str) -> tuple[list[list[float]], int]:
        for text in texts:
            check_unicode(text)
        if truncate == "NONE":
            for text in texts:
                length = len(self._tokenizer(text)["input_ids"])
                if length > self._longest:
                    raise BadRequestError(
                        f"A text has {length} tokens; the limit of the model is {self._longest}"
                    )
        self._tokenizer.truncation_side = "left" if truncate == "START" else "right"
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        if not bool(batch["attention_mask"].bool().any(dim=1).all()):
            raise BadRequestError("A text has no tokens that the model knows, so it has no embedding")
        batch = batch.to(self._compute.device)
        with self._torch.inference_mode():
            with self._compute.autocast():
                states = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = states[:, 0] if self._first_token else (states * mask).sum(1) / mask.sum(1)
            vectors: list[list[float]] = self._torch.nn.functional.normalize(pooled, dim=-1).tolist()
        if not all(math.isfinite(value) for vector in vectors for value in vector):
            raise ServerError("The model returned vectors that are not finite numbers", status=500)
        return vectors, int(batch["attention_mask"].sum())


def _takes_first_token(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _POOLING).read_text("utf-8")).get("pooling_mode_cls_token"))
    except FileNotFoundError:
        return False


def _answer(encoder: EmbeddingModel, request: Message) -> Message:
    try:
        vectors, tokens = encoder.embed(request["texts"], request["truncate"])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in a Rust library is not an Exception
        if not isinstance(error, LawtagsError):
            traceback.print_exc()
        said = failure(error)
        return {"failed" if isinstance(said, ServerError) else "refused": said.message}
    return {"vectors": vectors, "tokens": tokens}


def main(arguments: list[str]) -> int:
    """Process requests until the end of the input."""
    # Output of libraries must not mix with the responses.
    answers, sys.stdout = sys.stdout, sys.stderr
    folder, threads, device, precision = arguments
    encoder = EmbeddingModel(Path(folder), int(threads), Compute.choose(device, precision))
    _write(answers, {"ready": True})
    for line in sys.stdin.buffer:
        _write(answers, _answer(encoder, json.loads(line)))
    return 0


def _write(answers: TextIO, message: Message) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
