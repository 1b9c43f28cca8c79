"""Saving and loading a tagger: a JSON file, an npz file and its tokenizer, never pickle.

``tagger.json`` names every array with type and shape and holds digests of the other files and of itself.
All of it is checked before memory is taken for an array, since a file may come from elsewhere.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_bytes, atomic_write_json
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.blend import ADDED_COLUMNS as ADDED_TO_BLEND
from lawtags_client.tagging.blend import BLEND, Blend, check_scorer
from lawtags_client.tagging.decision import Decision
from lawtags_client.tagging.embedding_signals import (
    Embedder,
    fitting_embedder,
    from_arrays,
)
from lawtags_client.tagging.first_token import FirstTokenMap
from lawtags_client.tagging.mix import MIX, FitReport, Mix, Tagger
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.retriever_fit import RetrieverOptions
from lawtags_client.tagging.stack import ADDED_COLUMNS, ADDED_EMBEDDED, EMBEDDED_STACK, STACK
from lawtags_client.tagging.tagger_arrays import (
    BLOCKS,
    arrays_of_retriever,
    finite,
    read_counts,
    read_row_tags,
    read_terms,
)
from lawtags_client.tagging.tagger_document import (
    ArrayDocument,
    AskingDocument,
    DecisionDocument,
    FitReportDocument,
    MixDocument,
    RetrieverOptionsDocument,
    StyleDocument,
    TaggerDocument,
)
from lawtags_client.tagging.tagger_files import (
    ARRAYS_NAME,
    JSON_NAME,
    KIND,
    SCHEMA_VERSION,
    TOKENIZER_NAME,
    document_digest,
    read_arrays,
    read_bounded,
    read_document,
    refuse,
)
from lawtags_client.tagging.text_features import TermBlock, TextFeatures
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

ENCODER_FOLDER = "encoder"

_MOST_TOKENIZER_BYTES = 256 << 20


def save_tagger(tagger: Tagger, folder: Path) -> None:
    """Save a tagger as ``tagger.json``, ``tagger.npz`` and, where it has a tokenizer, ``tokenizer.json``.

    The out-of-fold scores are left out: they serve the fit alone. The files of a tuned encoder
    are not copied; whoever saves a tagger with one puts them into ``encoder/`` of the same folder.

    Args:
        tagger: the tagger.
        folder: where the files go; made if it is missing.
    """
    arrays = arrays_of_retriever(tagger.retriever)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    data = buffer.getvalue()
    document = _document(tagger, arrays, hashlib.sha256(data).hexdigest())
    # The JSON last: it is what makes the others valid.
    if tagger.asking is not None and tagger.asking.tokenizer is not None:
        atomic_write_bytes(folder / TOKENIZER_NAME, tagger.asking.tokenizer)
    else:
        (folder / TOKENIZER_NAME).unlink(missing_ok=True)
    atomic_write_bytes(folder / ARRAYS_NAME, data)
    atomic_write_json(folder / JSON_NAME, document)


def _document(tagger: Tagger, arrays: Mapping[str, Array], digest: str) -> TaggerDocument:
    """What ``tagger.json`` holds.

    Args:
        tagger: the tagger.
        arrays: the arrays of ``tagger.npz`` by name.
        digest: SHA-256 of that file.
    """
    retriever, mix, asking = tagger.retriever, tagger.mix, tagger.asking
    members: dict[str, ArrayDocument] = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape)} for name, array in arrays.items()
    }
    document: TaggerDocument = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "style": cast(StyleDocument, asdict(tagger.style)),
        "vocabulary": {
            "tags": list(retriever.vocabulary.tags),
            "counts": list(retriever.vocabulary.counts),
            "rows": retriever.vocabulary.rows,
        },
        "retriever": {
            "options": cast(RetrieverOptionsDocument, asdict(retriever.options)),
            "word_weight": retriever.text.word_weight,
            "weights": dict(zip(retriever.stack, retriever.weights.tolist(), strict=True)),
        },
        "decision": _described(tagger.retriever_decision),
        "mix": None,
        "report": _reported(tagger.report),
        "arrays": {"sha256": digest, "members": members},
        "asking": None,
        "encoder": None,
        "blend": None,
    }
    if mix is not None:
        document["mix"] = {
            "tokens": list(mix.tokens.owners),
            "weights": dict(zip(MIX, mix.weights.tolist(), strict=True)),
            "decision": _described(mix.decision),
        }
    if asking is not None:
        document["asking"] = {
            "text": dict(asking.text),
            "chat": asking.chat,
            "tokenizer": asking.tokenizer_digest,
        }
    if retriever.embedding is not None:
        document["encoder"] = {"identity": retriever.embedding.embedder.identity}
    if tagger.blend is not None:
        document["blend"] = {
            "weights": dict(zip(BLEND, tagger.blend.weights.tolist(), strict=True)),
            "decision": _described(tagger.blend.decision),
            "encoder": tagger.blend.encoder.identity,
        }
    document["digest"] = document_digest(document)
    return document


def load_tagger(folder: Path, *, embedder: Embedder | None = None) -> Tagger:
    """Load a tagger that ``save_tagger`` wrote.

    Args:
        folder: the folder with its files.
        embedder: the encoder that the tagger was fitted with; None takes the one of the installed package.

    Raises:
        DataError: a file is missing, foreign, too large, damaged, or of another schema version.
        ConfigurationError: the tagger was fitted with another encoder.
        MissingExtraError: the tagger needs an encoder, and none is installed.
    """
    document = read_document(folder / JSON_NAME)
    described = document.get("encoder")
    used = None if described is None else fitting_embedder(described["identity"], embedder)
    blend = document.get("blend")
    tuned = None
    if blend is not None and used is not None:
        tuned = used.tuned(folder / ENCODER_FOLDER)
        if tuned.identity != blend["encoder"]:
            raise refuse(folder / ENCODER_FOLDER, f"does not belong to {JSON_NAME}")
    try:
        arrays = read_arrays(folder / ARRAYS_NAME, document["arrays"])
        asking = _read_asking(folder, document.get("asking"))
        tagger = replace(_build(document, arrays, used), asking=asking)
        if blend is None or tuned is None:
            return tagger
        check_scorer(tuned, tagger.vocabulary)
        known = dict.fromkeys(ADDED_TO_BLEND, 0.0) if document["schema_version"] <= 4 else {}
        weights = _weights(known | blend["weights"], BLEND)
        return replace(tagger, blend=Blend(tuned, weights, _decision(blend["decision"], tagger.vocabulary)))
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, ConfigurationError) as error:
        raise refuse(folder / JSON_NAME, f"does not describe a tagger: {error!r}") from error


def _read_asking(folder: Path, described: AskingDocument | None) -> PromptSettings | None:
    if described is None:
        return None
    text, chat, digest = described["text"], described["chat"], described["tokenizer"]
    if not isinstance(text, dict) or not isinstance(chat, bool):
        raise ValueError("how questions were asked is not described")
    if digest is None:
        return PromptSettings(text, chat=chat)
    path = folder / TOKENIZER_NAME
    content = read_bounded(path, _MOST_TOKENIZER_BYTES, "is too large for a tokenizer")
    if hashlib.sha256(content).hexdigest() != digest:
        raise refuse(path, f"does not belong to {JSON_NAME}: its digest is wrong")
    return PromptSettings(text, content, chat)


def _build(document: TaggerDocument, arrays: Mapping[str, Array], embedder: Embedder | None) -> Tagger:
    words = document["vocabulary"]
    vocabulary = Vocabulary(tuple(words["tags"]), tuple(words["counts"]), words["rows"])
    described = document["retriever"]
    blocks = [TermBlock(name, read_terms(arrays, name), finite(arrays[f"{name}_idf"])) for name in BLOCKS]
    counts = (read_counts(arrays, "words", blocks[0]), read_counts(arrays, "characters", blocks[1]))
    row_tags = read_row_tags(arrays, len(vocabulary))
    duals, offsets = finite(arrays["duals"]), finite(arrays["offsets"])
    rows = len(row_tags)
    if duals.shape != (rows, len(vocabulary)) or offsets.shape != (len(vocabulary),):
        raise ValueError("weights do not fit rows and tags")
    if any(part.shape[0] != rows for part in counts):
        raise ValueError("n-gram counts do not fit the rows")
    retriever = Retriever(
        vocabulary,
        TextFeatures(blocks[0], blocks[1], float(described["word_weight"])),
        counts,
        row_tags,
        duals,
        offsets,
        _stack_weights(document, embedded=embedder is not None),
        RetrieverOptions(**described["options"]),
        None if embedder is None else from_arrays(arrays, embedder, rows, len(vocabulary)),
    )
    return Tagger(
        retriever,
        PromptStyle(**document["style"]),
        _decision(document["decision"], vocabulary),
        _mix(document["mix"], vocabulary),
        FitReport(**document["report"]),
    )


def _reported(report: FitReport) -> FitReportDocument:
    added = ("blend_micro_f1", "blend", "model_gain", "model_gain_error")
    # As older releases write it, where there is nothing to add.
    known = {name: value for name, value in asdict(report).items() if name not in added or value is not None}
    return cast(FitReportDocument, known)


def _described(decision: Decision) -> DecisionDocument:
    document: DecisionDocument = {
        "threshold": decision.threshold,
        "least": decision.least,
        "most": decision.most,
    }
    if decision.thresholds is not None:
        document["thresholds"] = list(decision.thresholds)
    if decision.abstain_below is not None:
        document["abstain_below"] = decision.abstain_below
    return document


def _decision(described: DecisionDocument, vocabulary: Vocabulary) -> Decision:
    own = described.get("thresholds")
    if own is not None and len(own) != len(vocabulary):
        raise ValueError("thresholds do not fit the tags")
    return Decision(
        described["threshold"],
        described["least"],
        described["most"],
        None if own is None else tuple(own),
        described.get("abstain_below"),
    )


def _mix(described: MixDocument | None, vocabulary: Vocabulary) -> Mix | None:
    if described is None:
        return None
    owners = tuple(described["tokens"])
    if len(owners) != len(vocabulary) or not all(owner is None or isinstance(owner, str) for owner in owners):
        raise ValueError("first tokens do not fit the tags")
    tokens = FirstTokenMap(vocabulary, owners)
    return Mix(tokens, _weights(described["weights"], MIX), _decision(described["decision"], vocabulary))


def _stack_weights(document: TaggerDocument, *, embedded: bool) -> NDArray[np.float64]:
    described = document["retriever"]["weights"]
    if document["schema_version"] <= 4:
        added = (*ADDED_COLUMNS, *(ADDED_EMBEDDED if embedded else ()))
        described = dict.fromkeys(added, 0.0) | described
    return _weights(described, EMBEDDED_STACK if embedded else STACK)


def _weights(described: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    if set(described) != set(names):
        raise ValueError(f"weights {sorted(described)} instead of {sorted(names)}")
    return np.asarray([float(described[name]) for name in names])
