"""The columns that the retriever's stack weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.embedding_signals import EMBEDDED
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats

_LEAST_SHARE = 1e-3

_SIGNALS = ("one", "lr", "knn", "title", "body", "prior", "title_prior", "body_prior")
_MEANING_WITH_PRIOR = ("meaning_log_knn", "meaning_ridge", "meaning_name")
_MEANING_BELOW_BEST = ("meaning_ridge", "meaning_name")

ADDED_COLUMNS = ("log_knn", "lr_prior", "log_knn_prior", "prior_prior", "lr_below_best")
"""Columns that taggers of schema 4 and below lack."""

ADDED_EMBEDDED = (
    *(f"{name}_prior" for name in _MEANING_WITH_PRIOR),
    *(f"{name}_below_best" for name in _MEANING_BELOW_BEST),
)
"""The same of embeddings."""

STACK: tuple[str, ...] = _SIGNALS + ADDED_COLUMNS
"""The columns of every stack, in order; see ``stack_columns``."""

EMBEDDED_STACK: tuple[str, ...] = STACK + EMBEDDED + ADDED_EMBEDDED
"""The columns of a stack with embeddings."""


def stack_columns(features: Mapping[str, Floats]) -> NDArray[np.float32]:
    """The stack's columns, of questions by tags by ``STACK`` or ``EMBEDDED_STACK``.

    Products with the prior let the weight of a signal depend on the frequency of the tag: the same cosine
    says more of a rare tag. Distances to the question's best tag let it depend on the rivals.

    Args:
        features: those of ``Retriever.features``.
    """
    lr, knn, title, body = (features[name] for name in ("lr", "knn", "title", "body"))
    prior = np.broadcast_to(features["prior"], lr.shape)
    log_knn = np.log(knn + np.float32(_LEAST_SHARE))
    columns: dict[str, Floats] = {
        "one": np.ones(lr.shape, dtype=np.float32),
        "lr": lr,
        "knn": knn,
        "title": title,
        "body": body,
        "prior": prior,
        "title_prior": title * prior,
        "body_prior": body * prior,
        "log_knn": log_knn,
        "lr_prior": lr * prior,
        "log_knn_prior": log_knn * prior,
        "prior_prior": prior * prior,
        "lr_below_best": _below_best(lr),
    }
    names = STACK
    if EMBEDDED[0] in features:
        names = EMBEDDED_STACK
        columns |= {name: features[name] for name in EMBEDDED}
        columns |= {f"{name}_prior": features[name] * prior for name in _MEANING_WITH_PRIOR}
        columns |= {f"{name}_below_best": _below_best(features[name]) for name in _MEANING_BELOW_BEST}
    stacked = np.empty((*lr.shape, len(names)), dtype=np.float32)
    for place, name in enumerate(names):
        stacked[..., place] = columns[name]
    return stacked


def log_prior(vocabulary: Vocabulary) -> NDArray[np.float32]:
    """The logarithm of each tag's share of training rows."""
    return np.asarray(np.log(np.maximum(vocabulary.prior(), 1e-9)), dtype=np.float32)


def _below_best(signal: Floats) -> Floats:
    """How far each tag is below the best one of its question."""
    return np.asarray(signal - signal.max(axis=1, keepdims=True))
