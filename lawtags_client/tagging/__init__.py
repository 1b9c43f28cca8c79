"""Tagging questions: prompts, answers, retrieval, mixing and scores. It knows nothing of HTTP.

Prompts and answers need no package beside the standard library. What computes is imported on first use and
needs the extra ``tag``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lawtags_client.tagging.parse import ParsedTags, answer_regex, parse_tags
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question, read_questions
from lawtags_client.tagging.vocabulary import Vocabulary, normalize_tag

if TYPE_CHECKING:
    from lawtags_client.tagging.baselines import MostFrequent, TfidfLogistic
    from lawtags_client.tagging.decision import Decision, tune_threshold
    from lawtags_client.tagging.first_token import FirstTokenMap
    from lawtags_client.tagging.fitting import fit_tagger
    from lawtags_client.tagging.metrics import bootstrap, per_tag, score
    from lawtags_client.tagging.mix import Tagger, Tagging
    from lawtags_client.tagging.retriever import Retriever
    from lawtags_client.tagging.retriever_fit import RetrieverOptions
    from lawtags_client.tagging.storage import load_tagger, save_tagger

_LATER = {
    "Decision": "decision",
    "FirstTokenMap": "first_token",
    "MostFrequent": "baselines",
    "Retriever": "retriever",
    "RetrieverOptions": "retriever_fit",
    "Tagger": "mix",
    "Tagging": "mix",
    "TfidfLogistic": "baselines",
    "bootstrap": "metrics",
    "fit_tagger": "fitting",
    "load_tagger": "storage",
    "per_tag": "metrics",
    "save_tagger": "storage",
    "score": "metrics",
    "tune_threshold": "decision",
}

__all__ = [
    "Decision",
    "FirstTokenMap",
    "MostFrequent",
    "ParsedTags",
    "Prompt",
    "PromptBuilder",
    "PromptStyle",
    "Question",
    "Retriever",
    "RetrieverOptions",
    "Tagger",
    "Tagging",
    "TfidfLogistic",
    "Vocabulary",
    "answer_regex",
    "bootstrap",
    "estimate_tokens",
    "fit_tagger",
    "load_tagger",
    "normalize_tag",
    "parse_tags",
    "per_tag",
    "read_questions",
    "save_tagger",
    "score",
    "tune_threshold",
]


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
