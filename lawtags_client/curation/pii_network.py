"""spaCy's recogniser of names with the same weights, computed for less.

spaCy embeds every token anew and hands each document to a parser that takes one step a token. Here each
word is embedded once in a process, all documents of a batch go through the convolutions together, and
since the recogniser outside of a name looks at one token alone, it is asked about all of them at once;
only within names is there something to walk along.

All multiplications are of one size, padded where need be, so that what is found in a document does not
depend on those beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

# Rows of a multiplication: few enough for its result to stay in the cache of a core.
_ROWS = 256
# Words that are embedded together.
_WORDS = 64
# Words that are remembered, some 25 MB of them.
_MOST_WORDS = 65_536
_PROBE = (
    "My landlord Anna Kowalski moved from Springfield to Lake Wobegon in May 2019.\n\n"
    "She owes Mr. Smith, of Acme Corp., $300 and can't leave 5 Elm Street!",
    "can i sue Joe Biden",
    "It's 5 p.m. in O'Hare, says Dr. Lee",
)


class Name(NamedTuple):
    """A name within a text.

    Args:
        start: its first character.
        end: behind its last one.
        label: what the model calls it.
    """

    start: int
    end: int
    label: str


class NameFinder(Protocol):
    """What finds names in a batch of texts."""

    def find(self, texts: Sequence[str]) -> list[list[Name]]: ...


class UnknownNetworkError(ValueError):
    """A model's recogniser is not built in the way that is known here."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution: the weights of its three pieces side by side, and of its normalisation."""

    weights: Floats
    bias: Floats
    scale: Floats
    shift: Floats


class NameNetwork:
    """The weights of a model's recogniser of names, laid out for whole batches.

    Args:
        model: a loaded spaCy pipeline.

    Raises:
        UnknownNetworkError: its recogniser is built in another way.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        try:
            recogniser = model.get_pipe("ner")
            self._read_layers(recogniser.model)
            self._read_actions(recogniser)
        except (KeyError, ValueError, AttributeError) as error:
            raise UnknownNetworkError(str(error)) from error
        self._forget_words()
        documents = [model.make_doc(text) for text in _PROBE]
        if [_names(document) for document in recogniser.pipe(documents)] != self.find(_PROBE):
            raise UnknownNetworkError("it finds other names")

    def find(self, texts: Sequence[str]) -> list[list[Name]]:
        """The names in texts, in order and without overlaps.

        Args:
            texts: a batch; its size decides how much memory this takes, and nothing else.
        """
        documents = [self._model.make_doc(text) for text in texts]
        lengths = [len(document) for document in documents]
        if not any(lengths):
            return [[] for _ in texts]
        words = self._places_of([document for document in documents if len(document)])
        vectors = self._convolve(self._embedded[words], [length for length in lengths if length])
        found = self._walk(vectors, self._is_space[words], lengths)
        return [
            [
                Name(document[start].idx, document[end - 1].idx + len(document[end - 1]), label)
                for start, end, label in names
            ]
            for document, names in zip(documents, found, strict=True)
        ]

    def _read_layers(self, model: Any) -> None:
        import numpy

        tokens, lower, upper = model.layers
        encoder, _, linear = tokens.layers
        # Words with their marks, then what stands around them.
        self._embed, context = encoder.layers
        if not self._embed.name.startswith("extract_features"):
            raise ValueError("no features of words")
        self._gemm = model.ops.gemm
        self._layers = [_read_layer(block) for block in context.layers[0].layers]
        self._width = self._layers[0].scale.shape[0]
        hidden, pieces = lower.get_dim("nO"), lower.get_dim("nP")
        if lower.get_dim("nF") != 3 or pieces != 2:
            raise ValueError("other features of the state")
        # The token, the first one of the name and the last one before the token, piece by piece.
        features = lower.get_param("W").transpose(0, 2, 1, 3).reshape(3, pieces * hidden, -1)
        absent = lower.get_param("pad")[0].transpose(0, 2, 1).reshape(3, -1)
        weights, bias = linear.get_param("W"), linear.get_param("b")
        self._state = [_packed(feature @ weights) for feature in features]
        constant = lower.get_param("b").T.reshape(-1) + sum(feature @ bias for feature in features)
        self._inside_bias = numpy.ascontiguousarray(constant)
        self._outside_bias = numpy.ascontiguousarray(
            lower.get_param("b").T.reshape(-1) + features[0] @ bias + absent[1] + absent[2]
        )
        self._upper, self._upper_bias = upper.get_param("W"), upper.get_param("b")
        self._hidden = hidden

    def _read_actions(self, recogniser: Any) -> None:
        import numpy

        if recogniser.cfg.get("beam_width") != 1:
            raise ValueError("a beam")
        names = [recogniser.moves.get_class_name(place) for place in range(self._upper.shape[0])]
        self._label = [name[2:] for name in names]
        number = {name: place for place, name in enumerate(names)}
        # Outside of a name one may stay there, begin a name, or take one of a single token.
        outside = [
            place
            for place, name in enumerate(names)
            if name == "O" or (name.startswith(("B-", "U-")) and len(name) > 2)
        ]
        self._outside = numpy.asarray(outside)
        self._outside_weights = _packed(self._upper[outside])
        self._outside_scores = self._upper_bias[outside]
        self._begins = numpy.asarray([names[place][0] == "B" for place in outside])
        self._stay = outside.index(number["O"])
        self._inner = {
            place: (number[f"I-{name[2:]}"], number[f"L-{name[2:]}"])
            for place, name in enumerate(names)
            if name[:2] == "B-"
        }

    def _forget_words(self) -> None:
        import numpy

        self._places: dict[tuple[int, int], int] = {}
        self._embedded = numpy.empty((0, self._width), dtype=numpy.float32)
        self._is_space = numpy.empty(0, dtype=bool)

    def _places_of(self, documents: Sequence[Any]) -> Numbers:
        """Where the words of documents stand among the embedded ones, with those that were missing."""
        import numpy
        from spacy.attrs import NORM, ORTH

        keys = numpy.concatenate([document.to_array([ORTH, NORM]) for document in documents])
        unique, inverse = numpy.unique(keys, axis=0, return_inverse=True)
        wanted = [(int(word), int(norm)) for word, norm in unique]
        if len(self._places) + len(wanted) > _MOST_WORDS:
            self._forget_words()
        if missing := [key for key in wanted if key not in self._places]:
            self._embed_words(missing)
        places = numpy.asarray([self._places[key] for key in wanted])
        return numpy.asarray(places[inverse.reshape(-1)])

    def _embed_words(self, keys: Sequence[tuple[int, int]]) -> None:
        import numpy
        from spacy.tokens import Doc

        vocab = self._model.vocab
        added, spaces = [self._embedded], [self._is_space]
        for begin in range(0, len(keys), _WORDS):
            chunk = keys[begin : begin + _WORDS]
            words = [vocab.strings[word] for word, _ in chunk] + ["a"] * (_WORDS - len(chunk))
            document = Doc(vocab, words=words)
            for token, (_, norm) in zip(document, chunk, strict=False):
                token.norm_ = vocab.strings[norm]
            added.append(self._embed.predict([document])[0][: len(chunk)])
            spaces.append(numpy.asarray([token.is_space for token in document])[: len(chunk)])
        for key in keys:
            self._places[key] = len(self._places)
        self._embedded = numpy.concatenate(added)
        self._is_space = numpy.concatenate(spaces)

    def _convolve(self, words: Floats, lengths: Sequence[int]) -> Floats:
        """Vectors of the tokens, each with those around it."""
        import numpy
        from numpy.lib.stride_tricks import as_strided

        # Empty rows keep documents apart: a layer reaches one token further.
        reach = len(self._layers)
        shifts = numpy.repeat(numpy.arange(1, len(lengths) + 1) * reach + 1, lengths)
        rows = numpy.arange(len(words)) + shifts
        blocks = -(-(len(words) + (len(lengths) + 1) * reach) // _ROWS)
        width = self._width
        current = numpy.zeros((blocks * _ROWS + 2, width), dtype=numpy.float32)
        current[rows] = words
        following = numpy.zeros_like(current)
        windows = numpy.empty((_ROWS, 3 * width), dtype=numpy.float32)
        product = numpy.empty((_ROWS, 3 * width), dtype=numpy.float32)
        for layer in self._layers:
            for begin in range(0, blocks * _ROWS, _ROWS):
                # A token with its neighbours lies side by side already.
                windows[:] = as_strided(current[begin:], windows.shape, current.strides)
                self._gemm(windows, layer.weights, out=product)
                target = following[begin + 1 : begin + 1 + _ROWS]
                _normalise(product, layer, target)
                target += current[begin + 1 : begin + 1 + _ROWS]
            current, following = following, current
        return numpy.asarray(current[rows])

    def _multiply(self, values: Floats, weights: Floats) -> Floats:
        import numpy

        result = numpy.empty((len(values), weights.shape[1]), dtype=numpy.float32)
        padded = numpy.zeros((_ROWS, values.shape[1]), dtype=numpy.float32)
        for begin in range(0, len(values), _ROWS):
            rows = values[begin : begin + _ROWS]
            padded[: len(rows)] = rows
            result[begin : begin + len(rows)] = self._gemm(padded, weights)[: len(rows)]
        return result

    def _activate(self, state: Floats) -> Floats:
        import numpy

        return numpy.asarray(numpy.maximum(state[:, : self._hidden], state[:, self._hidden :]))

    def _walk(
        self, vectors: Floats, is_space: NDArray[np.bool_], lengths: Sequence[int]
    ) -> list[list[tuple[int, int, str]]]:
        """The names by the numbers of their tokens, as a parser finds them that goes from left to right."""
        import numpy

        token = self._multiply(vectors, self._state[0])
        scores = self._multiply(self._activate(token + self._outside_bias), self._outside_weights)
        scores += self._outside_scores
        stops = numpy.cumsum(lengths)
        # No name of several tokens begins with the last one.
        last = stops[numpy.asarray(lengths) > 0] - 1
        scores[numpy.ix_(last, self._begins)] = -numpy.inf
        chosen = scores.argmax(axis=1)
        chosen[is_space] = self._stay
        starts = numpy.flatnonzero(chosen != self._stay)
        ends = self._ends(vectors, token, starts, self._outside[chosen[starts]], stops)
        found: list[list[tuple[int, int, str]]] = []
        place = 0
        for stop, length in zip(stops.tolist(), lengths, strict=True):
            names: list[tuple[int, int, str]] = []
            free = first = stop - length
            while place < len(starts) and starts[place] < stop:
                if starts[place] >= free:
                    free = int(ends[place])
                    label = self._label[self._outside[chosen[starts[place]]]]
                    names.append((int(starts[place]) - first, free - first, label))
                place += 1
            found.append(names)
        return found

    def _ends(
        self, vectors: Floats, token: Floats, starts: Numbers, actions: Numbers, stops: Numbers
    ) -> Numbers:
        """Where the names end that begin at some tokens, all of them taken one token further at a time."""
        import numpy

        ends = starts + 1
        several = numpy.isin(actions, list(self._inner))
        open_names = numpy.flatnonzero(several)
        if not len(open_names):
            return ends
        inner = numpy.asarray([self._inner.get(action, (0, 0)) for action in actions.tolist()])
        first = self._multiply(vectors[starts], self._state[1]) + self._inside_bias
        limit = stops[numpy.searchsorted(stops, starts, side="right")] - 1
        while len(open_names):
            places = ends[open_names]
            before = self._multiply(vectors[places - 1], self._state[2])
            hidden = self._activate(first[open_names] + token[places] + before)
            go_on, stop = inner[open_names].T
            weights = self._upper[go_on] - self._upper[stop]
            gain = (
                numpy.einsum("ij,ij->i", hidden, weights) + self._upper_bias[go_on] - self._upper_bias[stop]
            )
            ends[open_names] += 1
            open_names = open_names[(gain >= 0) & (places < limit[open_names])]
        return ends


class SpacyNames:
    """The names that a model's own pipeline finds; for those of another kind than :class:`NameNetwork` knows.

    Args:
        model: a loaded spaCy pipeline.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def find(self, texts: Sequence[str]) -> list[list[Name]]:
        """The names in texts, in order and without overlaps."""
        return [_names(document) for document in self._model.pipe(texts)]


@lru_cache(maxsize=2)
def load_finder(path: str) -> NameFinder:
    """What finds names with a model, loaded once in a process.

    Args:
        path: a package or a folder.

    Raises:
        MissingExtraError: spaCy is not installed.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "curate", "finding names") from error
    with warnings.catch_warnings():
        # A model of a later minor version; its entity recogniser is of the same form.
        warnings.filterwarnings("ignore", message=r"\[W095\]")
        model = spacy.load(path, exclude=["tagger", "parser", "lemmatizer", "attribute_ruler", "senter"])
    try:
        return NameNetwork(model)
    except UnknownNetworkError:
        return SpacyNames(model)


def _read_layer(block: Any) -> _Layer:
    import numpy

    window, dense = block.layers[0].layers
    maxout, normalisation = dense.layers[0].layers if len(dense.layers[0].layers) == 2 else dense.layers
    if window.attrs["window_size"] != 1 or maxout.get_dim("nP") != 3 or block.name[:8] != "residual":
        raise ValueError("another convolution")
    weights, bias = maxout.get_param("W"), maxout.get_param("b")
    return _Layer(
        _packed(weights.transpose(1, 0, 2).reshape(-1, weights.shape[2])),
        numpy.ascontiguousarray(bias.T.reshape(-1)),
        normalisation.get_param("G"),
        normalisation.get_param("b"),
    )


def _packed(weights: Floats) -> Floats:
    import numpy

    return numpy.ascontiguousarray(weights.T, dtype=numpy.float32)


def _normalise(product: Floats, layer: _Layer, out: Floats) -> None:
    """The largest piece of each value, brought to mean zero and variance one."""
    import numpy

    width = len(layer.scale)
    product += layer.bias
    numpy.maximum(product[:, :width], product[:, width : 2 * width], out=out)
    numpy.maximum(out, product[:, 2 * width :], out=out)
    out -= out.mean(axis=1, keepdims=True)
    variance = numpy.einsum("ij,ij->i", out, out) / width + 1e-8
    out *= (1 / numpy.sqrt(variance))[:, None]
    out *= layer.scale
    out += layer.shift


def _names(document: Any) -> list[Name]:
    return [Name(span.start_char, span.end_char, span.label_) for span in document.ents]
