"""The columns that the retriever's stack weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.embedding_signals import EMBEDDED
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lawtags_client.tagging._numpy import Floats

# The columns of the stack, in order; see ``stack_columns``. Those of embeddings follow where there are some.
STACK = ("one", "lr", "knn", "title", "body", "prior", "title_prior", "body_prior")


def stack_columns(features: Mapping[str, Floats]) -> Floats:
    """The stack's columns, one row for each pair of question and tag; embeddings last, if there are any."""
    shape = features["lr"].shape
    prior = np.broadcast_to(features["prior"], shape)
    title, body = features["title"], features["body"]
    columns = {
        "one": np.ones(shape, dtype=np.float32),
        "lr": features["lr"],
        "knn": features["knn"],
        "title": title,
        "body": body,
        "prior": prior,
        # The name of a rare tag says more than that of a frequent one.
        "title_prior": title * prior,
        "body_prior": body * prior,
    }
    embedded = [features[name] for name in EMBEDDED if name in features]
    chosen = [*(columns[name] for name in STACK), *embedded]
    return np.stack([column.astype(np.float32).ravel() for column in chosen], axis=1)


def log_prior(vocabulary: Vocabulary) -> Floats:
    """The logarithm of each tag's share of training rows."""
    return np.asarray(np.log(np.maximum(vocabulary.prior(), 1e-9)), dtype=np.float32)
