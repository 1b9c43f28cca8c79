"""Vectors of texts, by an encoder of Hugging Face's format on the CPU."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lawtags_client.encoder.folder import CONFIG, POOLING, TOKENIZER, WEIGHTS, EncoderFolder
from lawtags_client.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor, nn

MAX_TOKENS = 128
_BATCH = 8  # larger ones are slower: more padding, and worse use of the processor's caches
# A text is cut here before it is split into tokens: no text that people write has so few in so many.
_CHARACTERS = 100 * MAX_TOKENS
# A mean over the root of the length has the direction of the mean.
_FIRST, _MEANS = "pooling_mode_cls_token", ("pooling_mode_mean_tokens", "pooling_mode_mean_sqrt_len_tokens")


class TextEncoder:
    """A loaded encoder: the mean of its last hidden states, or the first if its pooling config says so.

    Args:
        folder: the encoder.
        threads: computing threads.
        max_tokens: longer texts are truncated.

    Raises:
        DataError: a file is damaged, or weights are missing.
        MissingExtraError: torch, transformers or tokenizers is not installed.
    """

    def __init__(self, folder: EncoderFolder, *, threads: int = 2, max_tokens: int = MAX_TOKENS) -> None:
        try:
            import tokenizers  # noqa: F401
            import torch  # noqa: F401
            import transformers  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "torch", "embed", "An encoder") from error
        self._folder = folder
        self._threads = threads
        self._turn = threading.Lock()
        try:
            self.model, self.width, positions, words = _load_model(folder)
            self._tokenizer = _load_tokenizer(folder, min(max_tokens, positions))
            self._first_token = _takes_first_token(folder)
        except DataError:
            raise
        except Exception as error:  # of whatever class the three libraries raise for a damaged file
            said = " ".join(str(error).split())
            if "ignore_mismatched_sizes" in said:  # transformers' advice, to fill them with random numbers
                raise _refused(folder, f"{WEIGHTS} has other shapes than {CONFIG} says") from error
            raise _refused(folder, f"the encoder cannot be loaded: {said[:300]}") from error
        if self._tokenizer.get_vocab_size() > words:
            raise _refused(folder, f"{TOKENIZER} has more tokens than the model")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, of length one, as an array of texts by dimensions.

        A text's vector does not depend on the other texts beyond rounding.

        Args:
            texts: any texts; what is longer than the limit is left out.

        Raises:
            DataError: the encoder gives numbers that are not finite.
        """
        return self.apply(texts, self.vectors, self.width)

    def apply(
        self, texts: Sequence[str], compute: Callable[[Sequence[Sequence[int]]], Tensor], width: int
    ) -> NDArray[np.float32]:
        """Compute a row of numbers for each text, in batches of similar length and without gradients.

        Args:
            texts: any texts.
            compute: from the tokens of some texts to their rows.
            width: how many numbers a row has.

        Raises:
            DataError: a number is not finite.
        """
        import numpy as np
        import torch

        tokens = self.tokens(texts)
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
        rows = np.zeros((len(texts), width), dtype=np.float32)
        with self.computing(), torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                rows[batch] = compute([tokens[place] for place in batch]).numpy()
        if not np.isfinite(rows).all():
            raise _refused(self._folder, "the encoder gives numbers that are not finite")
        return rows

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute with the encoder's threads; one caller at a time."""
        with self._turn, _threads(self._threads):
            yield

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of texts, truncated to the limit."""
        cleaned = [text[:_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
        return [found.ids for found in self._tokenizer.encode_batch(cleaned)]

    def vectors(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The vectors of tokenized texts, of length one; differentiable."""
        import torch

        longest = max(1, *(len(row) for row in rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : len(row)] = 1
        states: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self._first_token:
            pooled = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(pooled, dim=1)


def _load_model(folder: EncoderFolder) -> tuple[nn.Module, int, int, int]:
    """The model, its width, and the numbers of positions and of tokens that it knows."""
    import torch
    from transformers import AutoModel

    from lawtags_client.products import use_onednn

    with _quiet():
        model, info = AutoModel.from_pretrained(
            folder.path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # The pooler is not used; whatever else is missing would be random.
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing or info.get("mismatched_keys"):
        raise _refused(
            folder, f"{WEIGHTS} does not hold the whole encoder; missing: {', '.join(missing[:3])}"
        )
    # torch's attention hides some of them, and others show only in texts with a certain word.
    for name, weights in model.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            raise _refused(folder, f"{WEIGHTS} has a number that is not finite in {name}")
    model.eval()
    use_onednn(model)
    config = model.config
    return model, int(config.hidden_size), int(config.max_position_embeddings), int(config.vocab_size)


def _load_tokenizer(folder: EncoderFolder, longest: int) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder.path / TOKENIZER))
    # The file may ask for padding to a fixed length, and for another limit.
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and tables of weights by transformers: errors say what matters."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _takes_first_token(folder: EncoderFolder) -> bool:
    """Whether the first token is the text's vector, and not the mean of all."""
    try:
        said = json.loads((folder.path / POOLING).read_bytes())
    except FileNotFoundError:
        return False
    if not isinstance(said, dict):
        raise _refused(folder, f"{POOLING} is not a JSON object")
    asked = sorted(name for name, value in said.items() if name.startswith("pooling_mode_") and value is True)
    if asked == [_FIRST]:
        return True
    if asked and not (len(asked) == 1 and asked[0] in _MEANS):
        # Another way gives vectors that are not those of the encoder.
        raise DataError(
            f"asks for {' and '.join(asked)}",
            path=folder.path / POOLING,
            hint=f"Choose an encoder with {_MEANS[0]} or {_FIRST} alone.",
        )
    return False


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads; the setting is global, so the caller's is restored."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refused(folder: EncoderFolder, message: str) -> DataError:
    return DataError(message, path=folder.path, hint="Download the encoder again, or choose another one.")
