"""Find names in texts with a spaCy model."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lawtags_client.curation.mask.candidates import look_at, tokens_of_interest
from lawtags_client.curation.mask.matrix_product import one_thread
from lawtags_client.curation.mask.network import NameNetwork, RowSpan, UnknownNetworkError
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from spacy.language import Language
    from spacy.tokens import Doc

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

# Words that are embedded together.
_WORDS = 64
_MIXER = 0x9E3779B97F4A7C15
# Words that are remembered, some 25 MB of them.
_MOST_WORDS = 65_536
# How many tokens a name has before the first one that matters, and after the last, at most; of names that
# seem to be longer at the end the whole text is read.
_BEFORE, _BEHIND = 6, 3
_PROBE = (
    "My landlord Anna Kowalski moved from Springfield to Lake Wobegon in May 2019.\n\n"
    "She owes Mr. Smith, of Acme Corp., $300 and can't leave 5 Elm Street!",
    "can i sue Joe Biden",
    "It's 5 p.m. in O'Hare, says Dr. Lee",
)


class Name(NamedTuple):
    """A name within a text.

    Args:
        start: index of its first character.
        end: index after its last character.
        label: its label in the model.
    """

    start: int
    end: int
    label: str


class NameFinder(Protocol):
    """Finds names in a batch of texts."""

    def find(self, texts: Sequence[str]) -> list[list[Name]]: ...


class SpacyNames:
    """Finds names with a model's own pipeline.

    Args:
        model: a loaded spaCy pipeline.
    """

    def __init__(self, model: Language) -> None:
        self._model = model

    def find(self, texts: Sequence[str]) -> list[list[Name]]:
        """The names in texts, in order and without overlaps."""
        return [
            [Name(span.start_char, span.end_char, span.label_) for span in document.ents]
            for document in self._model.pipe(texts)
        ]


class NetworkNames:
    """Finds the same names in a fraction of the time, for models with a known architecture.

    Each word is embedded once. Tokens that cannot be part of a relevant name are skipped if nothing else
    depends on them.

    Args:
        model: a loaded spaCy pipeline.
        is_allowed: whether a single capitalized word is not a relevant name, see
            :mod:`lawtags_client.curation.mask.candidates`; with None, all names are relevant.

    Raises:
        UnknownNetworkError: the network has an unknown architecture.
    """

    def __init__(self, model: Language, is_allowed: Callable[[str], bool] | None = None) -> None:
        self._model = model
        self._network = NameNetwork(model)
        self._is_allowed = is_allowed
        self._forget_words()
        documents = [model.make_doc(text) for text in _PROBE]
        if self._find(documents, everything=True) != SpacyNames(model).find(_PROBE):
            raise UnknownNetworkError("it finds other names")

    def find(self, texts: Sequence[str]) -> list[list[Name]]:
        """The relevant names in texts, and possibly others, in order and without overlaps.

        Args:
            texts: a batch; its size affects only the memory used.
        """
        documents = [self._model.make_doc(text) for text in texts]
        return self._find(documents, everything=self._is_allowed is None)

    def _find(self, documents: Sequence[Doc], *, everything: bool) -> list[list[Name]]:
        import numpy

        found: list[list[Name]] = [[] for _ in documents]
        filled = [place for place, document in enumerate(documents) if len(document)]
        if not filled:
            return found
        batch = [documents[place] for place in filled]
        words, spaced = self._words_of(batch)
        lengths = numpy.asarray([len(document) for document in batch])
        text = numpy.repeat(numpy.arange(len(batch)), lengths)
        behind = lengths.cumsum()
        begin = behind - lengths
        if everything:
            matters = numpy.ones(len(words), dtype=bool)
        else:
            matters = tokens_of_interest(self._looks[words], spaced, behind[text])
            if not matters.any():
                return found
        reach = self._network.reach
        # Empty rows before each text and after the last.
        rows = numpy.arange(len(words)) + (text + 1) * reach
        count = len(words) + (len(batch) + 1) * reach
        asked = numpy.flatnonzero(matters)
        first = rows[numpy.maximum(asked - _BEFORE, begin[text[asked]])]
        last = rows[numpy.minimum(asked + _BEHIND, behind[text[asked]] - 1)]
        token_of = numpy.full(count, -1)
        token_of[rows] = numpy.arange(len(words))
        spans = self._spans(words, token_of, first, last, behind - 1)
        again = set()
        for span in spans:
            token, stop = int(token_of[span.start]), int(token_of[span.end - 1])
            number = int(text[token])
            if span.is_cut:
                # A name that does not matter may well end somewhere.
                if matters[token : stop + 1].any():
                    again.add(number)
                continue
            document, start = batch[number], int(begin[number])
            final = document[stop - start]
            name = Name(document[token - start].idx, final.idx + len(final), span.label)
            found[filled[number]].append(name)
        if again:
            long = sorted(again)
            whole = self._find([batch[number] for number in long], everything=True)
            for number, names in zip(long, whole, strict=True):
                found[filled[number]] = names
        return found

    def _spans(
        self, words: Numbers, token_of: Numbers, first: Numbers, last: Numbers, ends: Numbers
    ) -> list[RowSpan]:
        import numpy

        needed = self._network.covered(first, last, 0, len(token_of))
        needed = needed[token_of[needed] >= 0]
        current = numpy.zeros((len(token_of), self._network.width), dtype=numpy.float32)
        current[needed] = self._embedded_words(words[token_of[needed]])
        with one_thread():
            rows, vectors = self._network.convolve(current, first, last)
            tokens = token_of[rows]
            is_space, is_last = self._is_space[words[tokens]], numpy.isin(tokens, ends)
            return self._network.walk(rows, vectors, is_space, is_last)

    def _forget_words(self) -> None:
        import numpy

        self._numbers: dict[int, int] = {}
        self._words: list[tuple[int, int]] = []
        self._looks = numpy.empty((0, 2), dtype=numpy.uint8)
        self._is_space = numpy.empty(0, dtype=bool)
        # The index of each embedded word; most rare words are never embedded.
        self._place = numpy.empty(0, dtype=numpy.int64)
        self._embedded = numpy.empty((0, self._network.width), dtype=numpy.float32)

    def _words_of(self, documents: Sequence[Doc]) -> tuple[Numbers, Flags]:
        """The index of each word of the documents, and whether a space follows it."""
        import numpy
        from spacy.attrs import NORM, ORTH, SPACY

        table = numpy.concatenate([document.to_array([ORTH, NORM, SPACY]) for document in documents])
        # Both are hashes of 64 bits, and so is what is made of them.
        keys = (table[:, 0] ^ (table[:, 1] * numpy.uint64(_MIXER))).tolist()
        missing = {key: place for place, key in enumerate(keys) if key not in self._numbers}
        if len(self._numbers) + len(missing) > _MOST_WORDS:
            self._forget_words()
            missing = {key: place for place, key in enumerate(keys)}
        if missing:
            self._learn_words(list(missing), table[list(missing.values()), :2].tolist())
        return numpy.asarray([*map(self._numbers.__getitem__, keys)]), table[:, 2].astype(bool)

    def _learn_words(self, keys: Sequence[int], words: Sequence[tuple[int, int]]) -> None:
        import numpy

        texts = [self._model.vocab.strings[word] for word, _ in words]
        is_allowed = self._is_allowed or (lambda _: False)
        looks = numpy.asarray([look_at(text, is_allowed) for text in texts], dtype=numpy.uint8)
        spaces = numpy.asarray([text.isspace() for text in texts])
        self._numbers.update((key, len(self._words) + place) for place, key in enumerate(keys))
        self._words += words
        self._looks = numpy.concatenate([self._looks, looks])
        self._is_space = numpy.concatenate([self._is_space, spaces])
        self._place = numpy.concatenate([self._place, numpy.full(len(keys), -1)])

    def _embedded_words(self, words: Numbers) -> Floats:
        import numpy
        from spacy.tokens import Doc

        missing = numpy.unique(words[self._place[words] < 0])
        vocab = self._model.vocab
        added = [self._embedded]
        for begin in range(0, len(missing), _WORDS):
            chunk = [self._words[word] for word in missing[begin : begin + _WORDS].tolist()]
            texts = [vocab.strings[word] for word, _ in chunk]
            document = Doc(vocab, words=texts + ["a"] * (_WORDS - len(chunk)))
            for token, (_, norm) in zip(document, chunk, strict=False):
                token.norm_ = vocab.strings[norm]
            added.append(self._network.embed(document)[: len(chunk)])
        self._place[missing] = len(self._embedded) + numpy.arange(len(missing))
        self._embedded = numpy.concatenate(added)
        return numpy.asarray(self._embedded[self._place[words]])


def name_finder(path: str, is_allowed: Callable[[str], bool]) -> NameFinder:
    """The fastest name finder for a model.

    Args:
        path: a package or a folder.
        is_allowed: whether a single capitalized word is not a relevant name.

    Raises:
        MissingExtraError: spaCy is not installed.
    """
    model = _load(path)
    try:
        return NetworkNames(model, is_allowed)
    except UnknownNetworkError:
        return SpacyNames(model)


@contextlib.contextmanager
def _sparing_torch(path: str) -> Iterator[None]:
    """Keep spaCy from importing torch in a worker process, which would double its start time and memory.

    spaCy needs torch only for models with a transformer.
    """
    is_worker = multiprocessing.parent_process() is not None
    if not is_worker or "torch" in sys.modules or _has_transformer(path):
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


def _has_transformer(path: str) -> bool:
    folder = Path(path)
    if not folder.is_dir():
        spec = importlib.util.find_spec(path)
        folder = Path(spec.origin).parent if spec and spec.origin else folder
    return any("transformer" in file.read_text(encoding="utf-8") for file in folder.rglob("config.cfg"))


@lru_cache(maxsize=2)
def _load(path: str) -> Language:
    try:
        with _sparing_torch(path):
            import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "curate", "finding names") from error
    with warnings.catch_warnings():
        # A model of a later minor version; its entity recognizer is of the same form.
        warnings.filterwarnings("ignore", message=r"\[W095\]")
        return spacy.load(path, exclude=["tagger", "parser", "lemmatizer", "attribute_ruler", "senter"])
