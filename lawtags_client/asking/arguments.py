"""What tagging is called with, checked before anything is sent."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import ParamSpec, TypeVar

from lawtags_client.blocking import Blocking
from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

__all__ = ["check_questions", "checked_call"]

P = ParamSpec("P")
R = TypeVar("R")

_TEXT = "Pass it as text."
_VOCABULARY = (
    "Pass Vocabulary.from_questions(training_questions), or count the rows per tag yourself: "
    "Vocabulary(tags=('lease', 'tax'), counts=(12, 5), rows=15)."
)
_OPTIONS: Mapping[str, tuple[type, str]] = {
    "title": (str, _TEXT),
    "body": (str, _TEXT),
    "model": (str, "Pass the model's id, such as 'law/tagger@v1'."),
    "vocabulary": (Vocabulary, _VOCABULARY),
    "style": (PromptStyle, "Pass PromptStyle(...), as in training."),
}
_OPTIONAL = frozenset({"body", "vocabulary", "style"})
_SCORER = ("prompt", "scores", "decide")


def checked_call(call: Callable[P, R]) -> Callable[P, R]:
    """A tagging function that checks its arguments when it is called, not when its result is awaited.

    A blocking script never awaits, so it would never see the error.
    """
    signature = inspect.signature(call)

    @functools.wraps(call)
    def checking(*args: P.args, **options: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError:
            # Python names the missing or unknown argument better.
            return call(*args, **options)
        _check_client(given["nemo"], call.__name__)
        _check_options(given)
        if "questions" in given:
            _check_source(given["questions"])
        return call(*args, **options)

    return checking


def check_questions(questions: Iterable[object]) -> None:
    """Refuse what is not a question.

    Raises:
        ConfigurationError: an item is of another type; its content is not repeated.
    """
    for question in questions:
        if not isinstance(question, Question):
            raise ConfigurationError(
                f"tag_many takes questions, not {_kind(question)}",
                hint='Pass Question(id="1", title="Can pricing be trademarked?").',
            )


def _check_source(questions: object) -> None:
    if isinstance(questions, str | bytes | Mapping | Question):
        raise ConfigurationError(
            f"tag_many takes several questions, not {_kind(questions)}",
            hint='Pass a list: [Question(id="1", title="Can pricing be trademarked?")].',
        )
    if not isinstance(questions, Iterable | AsyncIterable):
        raise ConfigurationError(
            f"tag_many takes questions, not {_kind(questions)}",
            hint="Pass a list or an iterator of Question.",
        )
    if isinstance(questions, list | tuple):
        check_questions(questions)


def _check_client(nemo: object, name: str) -> None:
    if isinstance(nemo, Blocking):
        raise ConfigurationError(
            f"{name} takes the async client, not the blocking one",
            hint=f"Call lawtags_client.sync.{name}(nemo, ...), or pass a lawtags_client.NeMo.",
        )
    try:
        is_client = hasattr(nemo, "inference")
    except ConfigurationError:
        # It has no address, which matters once something is sent.
        is_client = True
    if not is_client:
        raise ConfigurationError(
            f"{name} takes a client, not {_kind(nemo)}", hint="Pass an open lawtags_client.NeMo first."
        )


def _check_options(given: Mapping[str, object]) -> None:
    for name, (kind, hint) in _OPTIONS.items():
        value = given.get(name)
        absent = name not in given or (value is None and name in _OPTIONAL)
        if not absent and not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be {_named(kind)}, not {_kind(value)}", hint=hint)
    at_most = given.get("at_most")
    if at_most is not None and (type(at_most) is not int or at_most < 1):
        raise ConfigurationError(
            "at_most must be a whole number from 1", hint="Omit it for the tagger's own maximum."
        )
    tagger = given.get("tagger")
    if tagger is not None and not all(hasattr(tagger, part) for part in _SCORER):
        raise ConfigurationError(
            f"tagger must be a fitted tagger, not {_kind(tagger)}",
            hint="Load one: load_tagger(folder).",
        )


def _named(kind: type) -> str:
    return "text" if kind is str else f"a {kind.__name__}"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
