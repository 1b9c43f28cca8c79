"""spaCy's named entity recognizer with the same weights, computed faster.

spaCy runs all tokens through all layers, and its parser takes one step per token. Here, all texts of a batch
go through the layers together, and only the requested tokens and their dependencies are computed. Outside
a name, the recognizer depends on one token only, so all tokens are scored at once; only names are processed
token by token.

A batch is a matrix with one row per token, and empty rows between texts for the receptive field.
All matrix products have the same size, padded if necessary, so that the result for a text does not depend on
the other texts of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lawtags_client.curation.mask.matrix_product import choose_product

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from spacy.language import Language
    from spacy.pipeline import EntityRecognizer
    from thinc.api import Model

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

# Rows of a multiplication: few enough for its result to stay in the cache of a core.
_ROWS = 256
# What spaCy adds to a variance.
_FLOOR = 1e-8


class RowSpan(NamedTuple):
    """A name as a range of rows.

    Args:
        start: its first row.
        end: the index after its last row.
        label: its label in the model.
        is_cut: whether it continues in a row that was not requested.
    """

    start: int
    end: int
    label: str
    is_cut: bool


class UnknownNetworkError(ValueError):
    """A model's recognizer has an unknown architecture."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution: the concatenated weights of its three pieces, and those of its normalization."""

    weights: Floats
    bias: Floats
    scale: Floats
    shift: Floats


class NameNetwork:
    """The weights of a model's name recognizer, arranged for batches.

    Args:
        model: a loaded spaCy pipeline.

    Raises:
        UnknownNetworkError: its recognizer has an unknown architecture.
    """

    def __init__(self, model: Language) -> None:
        try:
            recogniser = model.get_pipe("ner")
            self._read_layers(recogniser.model)
            self._read_actions(recogniser)
            gemm = recogniser.model.ops.gemm
        except (KeyError, ValueError, AttributeError) as error:
            raise UnknownNetworkError(str(error)) from error
        weights = [*(layer.weights for layer in self._layers), *self._state, self._outside_weights]
        self._product = choose_product(gemm, weights, _ROWS)

    @property
    def width(self) -> int:
        """The length of the vector of a token."""
        return len(self._layers[0].scale)

    @property
    def reach(self) -> int:
        """How many tokens on each side affect a token."""
        return len(self._layers)

    def embed(self, document: object) -> Floats:
        """The context-free vectors of the tokens of a spaCy document.

        Args:
            document: its length is the size of the matrix products.
        """
        vectors: Floats = self._embed.predict([document])[0]
        return vectors

    def covered(self, first: Numbers, last: Numbers, depth: int, count: int) -> Numbers:
        """The rows that a layer must compute so that the last layer can compute some ranges of rows.

        Args:
            first: the first row of each range.
            last: the last row of each range.
            depth: the number of layers already applied.
            count: the total number of rows.
        """
        import numpy

        margin = self.reach - depth
        edges = numpy.zeros(count + 1, dtype=numpy.int64)
        numpy.add.at(edges, first - margin, 1)
        numpy.add.at(edges, last + margin + 1, -1)
        return numpy.flatnonzero(edges[:count].cumsum())

    def convolve(self, words: Floats, first: Numbers, last: Numbers) -> tuple[Numbers, Floats]:
        """The vectors of some ranges of rows, in their context.

        Args:
            words: the context-free vector of each row; overwritten.
            first: the first row of each range.
            last: the last row of each range.

        Returns:
            The indices of the rows in the ranges, and the vector of each.
        """
        import numpy
        from numpy.lib.stride_tricks import as_strided

        current, following = words, numpy.zeros_like(words)
        product = numpy.empty((_ROWS, 3 * self.width), dtype=numpy.float32)
        # The first row and the last have no neighbour, and are never asked for.
        shape = (len(words) - 2, 3 * self.width)
        for depth, layer in enumerate(self._layers, start=1):
            rows = self.covered(first, last, depth, len(words))
            # A row with its neighbours lies side by side already.
            windows = as_strided(current, shape, current.strides)
            for begin in range(0, len(rows), _ROWS):
                block = rows[begin : begin + _ROWS]
                padded = block if len(block) == _ROWS else numpy.resize(block, _ROWS)
                self._product(windows[padded - 1], layer.weights, product)
                following[block] = current[block] + _normalised(product, layer)[: len(block)]
            current, following = following, current
        return rows, current[rows]

    def walk(self, rows: Numbers, vectors: Floats, is_space: Flags, is_last: Flags) -> list[RowSpan]:
        """The names that a parser finds from left to right.

        Args:
            rows: from :meth:`convolve`; a name may start at each of them.
            vectors: from :meth:`convolve`.
            is_space: whether each row is whitespace.
            is_last: whether each row is the last of its text.
        """
        import numpy

        token = self._multiply(vectors, self._state[0])
        scores = self._multiply(self._activate(token + self._outside_bias), self._outside_weights)
        scores += self._outside_scores
        # No name of several tokens begins with the last one.
        scores[numpy.ix_(is_last, self._begins)] = -numpy.inf
        chosen = scores.argmax(axis=1)
        chosen[is_space] = self._stay
        starts = numpy.flatnonzero(chosen != self._stay)
        actions = self._outside[chosen[starts]]
        followed = numpy.append(numpy.diff(rows) == 1, False)
        ends, cut = self._ends(vectors, token, starts, actions, is_last, followed)
        found: list[RowSpan] = []
        free = 0
        for start, end, action, is_cut in zip(
            starts.tolist(), ends.tolist(), actions.tolist(), cut.tolist(), strict=True
        ):
            if start >= free:
                free = end
                found.append(RowSpan(int(rows[start]), int(rows[end - 1]) + 1, self._label[action], is_cut))
        return found

    def _read_layers(self, model: Model) -> None:
        import numpy

        tokens, lower, upper = model.layers
        encoder, _, linear = tokens.layers
        # The features of each word, then its context.
        self._embed, context = encoder.layers
        if not self._embed.name.startswith("extract_features"):
            raise ValueError("no features of words")
        self._layers = [_read_layer(block) for block in context.layers[0].layers]
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

    def _read_actions(self, recogniser: EntityRecognizer) -> None:
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

    def _multiply(self, values: Floats, weights: Floats) -> Floats:
        import numpy

        result = numpy.empty((len(values), weights.shape[1]), dtype=numpy.float32)
        padded = numpy.zeros((_ROWS, values.shape[1]), dtype=numpy.float32)
        product = numpy.empty((_ROWS, weights.shape[1]), dtype=numpy.float32)
        for begin in range(0, len(values), _ROWS):
            rows = values[begin : begin + _ROWS]
            padded[: len(rows)] = rows
            self._product(padded, weights, product)
            result[begin : begin + len(rows)] = product[: len(rows)]
        return result

    def _activate(self, state: Floats) -> Floats:
        import numpy

        return numpy.asarray(numpy.maximum(state[:, : self._hidden], state[:, self._hidden :]))

    def _ends(
        self,
        vectors: Floats,
        token: Floats,
        starts: Numbers,
        actions: Numbers,
        is_last: Flags,
        followed: Flags,
    ) -> tuple[Numbers, Flags]:
        """The ends of the names that start at some rows, found by extending all names row by row.

        Returns:
            The index after the last row of each name, and whether it continues beyond the requested rows.
        """
        import numpy

        ends, cut = starts + 1, numpy.zeros(len(starts), dtype=bool)
        going_on = numpy.flatnonzero(numpy.isin(actions, list(self._inner)))
        if not len(going_on):
            return ends, cut
        inner = numpy.asarray([self._inner.get(action, (0, 0)) for action in actions.tolist()])
        first = self._multiply(vectors[starts], self._state[1]) + self._inside_bias
        while True:
            known = followed[ends[going_on] - 1]
            cut[going_on[~known]] = True
            going_on = going_on[known]
            if not len(going_on):
                return ends, cut
            places = ends[going_on]
            before = self._multiply(vectors[places - 1], self._state[2])
            hidden = self._activate(first[going_on] + token[places] + before)
            further, stop = inner[going_on].T
            gain = numpy.einsum("ij,ij->i", hidden, self._upper[further] - self._upper[stop])
            gain += self._upper_bias[further] - self._upper_bias[stop]
            ends[going_on] += 1
            going_on = going_on[(gain >= 0) & ~is_last[places]]


def _read_layer(block: Model) -> _Layer:
    import numpy

    window, dense = block.layers[0].layers
    maxout, normalisation = dense.layers[0].layers if len(dense.layers[0].layers) == 2 else dense.layers
    if window.attrs["window_size"] != 1 or maxout.get_dim("nP") != 3 or not block.name.startswith("residual"):
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


def _normalised(product: Floats, layer: _Layer) -> Floats:
    """The largest piece of each value (maxout), normalized to mean zero and variance one."""
    import numpy

    width = len(layer.scale)
    product += layer.bias
    values = numpy.maximum(product[:, :width], product[:, width : 2 * width])
    numpy.maximum(values, product[:, 2 * width :], out=values)
    values -= values.mean(axis=1, keepdims=True)
    variance = numpy.einsum("ij,ij->i", values, values) / width + _FLOOR
    values *= (1 / numpy.sqrt(variance))[:, None]
    values *= layer.scale
    values += layer.shift
    return numpy.asarray(values)
