"""Logistic regression: many one-vs-rest problems at once, and one small problem with a prior.

The first is solved through the similarities of training rows. With a weight vector ``w = X' a`` the margins
are ``f = X X' a + offset``, so that Newton's step for a tag is the linear system
``(I + S K S) u = S z`` with ``S = sqrt(C d)``: nearly the identity for rare tags, which conjugate gradients
solve in few steps, for all tags together. ``a`` has one number for each row and tag, whatever the
number of n-grams.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from lawtags_client.tagging._numpy import Floats, Integers

# Up to this many rows the matrix of all similarities is small and faster than the sparse rows.
_DENSE_ROWS = 1500
_BLOCK = 256


def sigmoid(margins: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(margins, -50, 50))))


def logit(probabilities: Floats) -> Floats:
    """The inverse of ``sigmoid``; probabilities are kept a millionth away from 0 and 1."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def fit_one_vs_rest(
    rows: csr_matrix,
    labels: Floats,
    *,
    strength: float = 20.0,
    tolerance: float | None = None,
    n_jobs: int = 1,
) -> tuple[Floats, Floats]:
    """Fit one logistic regression for each tag.

    It minimizes ``|w|^2 / 2 + strength * log-loss``; the intercept is the tag's prior log-odds plus a
    regularized correction. Tags without a positive row get their prior alone.

    Args:
        rows: sparse features, rows by terms.
        labels: 1 where a row carries a tag, rows by tags.
        strength: how much the loss counts against the size of the weights (scikit-learn's ``C``).
        tolerance: stop once the residual of ``a = C (y - p)`` is this small, relative to the labels. None
            takes 0.001 where that costs little, and 0.02 above 1,500 rows.
        n_jobs: threads; each works on its own tags.

    Returns:
        ``a`` (rows by tags) and the offsets: margins are ``(similarities + 1) @ a + offsets``.
    """
    total, tags = labels.shape
    share = np.clip(labels.mean(axis=0), 0.5 / total, 1 - 0.5 / total)
    offsets = np.log(share / (1 - share)).astype(np.float32)
    duals = np.zeros((total, tags), dtype=np.float32)
    fitted = np.flatnonzero(labels.any(axis=0))
    product = _product(rows)
    if tolerance is None:
        tolerance = 1e-3 if total <= _DENSE_ROWS else 0.02
    pieces = max(n_jobs, -(-len(fitted) // _BLOCK))
    # Dealt out in turn, so that frequent tags, which take longest, are spread evenly.
    blocks = [fitted[start::pieces] for start in range(pieces) if len(fitted[start::pieces])]

    def solve(block: Integers) -> None:
        problem = _Block(product, labels[:, block].astype(np.float32), offsets[block], strength, tolerance)
        duals[:, block] = problem.solve()

    if n_jobs == 1:
        for block in blocks:
            solve(block)
    else:
        with ThreadPoolExecutor(n_jobs) as pool:
            list(pool.map(solve, blocks))
    return duals, offsets


def _product(rows: csr_matrix) -> Callable[[Floats], Floats]:
    if rows.shape[0] <= _DENSE_ROWS:
        similarities = (rows @ rows.T).toarray() + np.float32(1)
        return lambda values: np.asarray(similarities @ values)
    turned = rows.T.tocsr()
    return lambda values: np.asarray(rows @ (turned @ values) + values.sum(axis=0))


class _Block:
    """Newton's method with a line search, for some tags side by side."""

    _MOST_STEPS = 20
    _MOST_CONJUGATE_STEPS = 40
    _SOLVED = 0.15  # each Newton system is solved this roughly, relative to its right side

    def __init__(
        self,
        product: Callable[[Floats], Floats],
        labels: Floats,
        offsets: Floats,
        strength: float,
        tolerance: float,
    ) -> None:
        self._product, self._labels, self._offsets = product, labels, offsets
        self._strength, self._tolerance = np.float32(strength), tolerance

    def solve(self) -> Floats:
        labels, offsets, strength = self._labels, self._offsets, self._strength
        duals = np.zeros_like(labels, dtype=np.float32)
        margins = np.zeros_like(labels, dtype=np.float32)
        scale = strength * np.sqrt(((labels - sigmoid(offsets)) ** 2).sum(axis=0))
        active = np.arange(labels.shape[1])
        for _ in range(self._MOST_STEPS):
            y, offset = labels[:, active], offsets[active]
            a, f = duals[:, active], margins[:, active]
            next_a, next_f = self._search(a, f, *self._newton(a, f, y, offset), y, offset)
            duals[:, active], margins[:, active] = next_a, next_f
            gap = next_a - strength * (y - sigmoid(next_f + offset))
            active = active[np.sqrt((gap * gap).sum(axis=0)) > self._tolerance * scale[active]]
            if not len(active):
                break
        return duals

    def _newton(
        self, a: NDArray[np.float32], f: NDArray[np.float32], y: Floats, offset: Floats
    ) -> tuple[Floats, Floats]:
        """The aim of a Newton step: new duals, and the margins that belong to them."""
        at = f + offset
        p = sigmoid(at)
        curvature = p * (1 - p)
        # On the wrong side the curvature vanishes and a step would overshoot; there the quadratic bound
        # of the loss (Jaakkola and Jordan) takes its place.
        wrong = (at > 0) != (y > 0.5)
        far = np.where(np.abs(at) < 1e-3, np.float32(1e-3), at)
        curvature = np.where(wrong, (sigmoid(far) - 0.5) / far, curvature)
        root = np.sqrt(self._strength * np.maximum(curvature, 1e-6)).astype(np.float32)
        u, ku = a / root, f.copy()
        residual = (y - p) * (self._strength / root) - u
        direction = residual.copy()
        norm = (residual * residual).sum(axis=0)
        enough = norm * self._SOLVED**2
        for _ in range(self._MOST_CONJUGATE_STEPS):
            going = np.flatnonzero(norm > enough)
            if not len(going):
                break
            # A slice of all columns is a view; a list of them is a copy.
            part: slice | Integers = slice(None) if len(going) == len(norm) else going
            step_root, step = root[:, part], direction[:, part]
            spread = self._product(step_root * step)
            image = step + step_root * spread
            length = norm[part] / (step * image).sum(axis=0)
            u[:, part] += length * step
            ku[:, part] += length * spread
            residual[:, part] -= length * image
            after = (residual[:, part] ** 2).sum(axis=0)
            direction[:, part] = residual[:, part] + (after / norm[part]) * step
            norm[part] = after
        return root * u, ku

    def _search(
        self, a: Floats, f: Floats, aim_a: Floats, aim_f: Floats, y: Floats, offset: Floats
    ) -> tuple[Floats, Floats]:
        """Go as far towards the aim as the objective falls, halving each tag's step where it does not."""
        before = self._objective(a, f, y, offset)
        size = np.ones(a.shape[1], dtype=np.float32)
        for _ in range(12):
            new_a, new_f = a + size * (aim_a - a), f + size * (aim_f - f)
            rises = self._objective(new_a, new_f, y, offset) > before * (1 + 1e-5) + 1e-6
            if not rises.any():
                break
            size[rises] *= 0.5
        return new_a, new_f

    def _objective(self, a: Floats, f: Floats, y: Floats, offset: Floats) -> Floats:
        at = f + offset
        loss = np.maximum(at, 0) + np.log1p(np.exp(-np.abs(at))) - y * at
        return np.asarray(0.5 * (a * f).sum(axis=0) + self._strength * loss.sum(axis=0))


def fit_towards(
    columns: Floats,
    labels: Floats,
    prior: Floats,
    *,
    penalty: float,
    start: Floats | None = None,
    steps: int = 50,
) -> NDArray[np.float64]:
    """Fit a small logistic regression whose weights are drawn towards given ones.

    Args:
        columns: features, rows by weights; include a column of ones for an intercept.
        labels: 0 or 1 for each row.
        prior: the weights to fall back on where the rows say little.
        penalty: how strongly, as the ``penalty / 2 * |w - prior|^2`` added to the summed log-loss.
        start: weights to begin from; those of ``prior`` if None.
        steps: the most Newton steps.
    """
    columns = np.asarray(columns, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    prior = np.asarray(prior, dtype=np.float64)

    def objective(weights: Floats) -> float:
        at = columns @ weights
        loss = np.maximum(at, 0) + np.log1p(np.exp(-np.abs(at))) - labels * at
        return float(loss.sum() + 0.5 * penalty * ((weights - prior) ** 2).sum())

    weights = np.array(prior if start is None else start, dtype=np.float64)
    value = objective(weights)
    for _ in range(steps):
        p = sigmoid(columns @ weights)
        gradient = columns.T @ (p - labels) + penalty * (weights - prior)
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + penalty * np.eye(len(prior))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and objective(weights - size * step) > value:
            size *= 0.5
        weights = weights - size * step
        after = objective(weights)
        if value - after <= 1e-9 * max(1.0, abs(value)):
            break
        value = after
    return np.asarray(weights)
