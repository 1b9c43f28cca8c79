"""Separates text from tool calls in answers, including answers that are still being generated."""

from __future__ import annotations

from collections.abc import Collection

from lawtags_stack.chat.call_format import CallFormat, ParsedCall


class CallReader:
    """Parses the answers of one request.

    Args:
        form: the model's call format.
        names: the tools that were offered.
    """

    def __init__(self, form: CallFormat, names: Collection[str]) -> None:
        self._form = form
        self._names = frozenset(names)
        self._grown: dict[int, str] = {}
        self._shown: dict[int, int] = {}

    def grow(self, index: int, new: str) -> str:
        """Add text to an unfinished answer, and return what can be shown of it.

        Args:
            index: which of the request's answers.
            new: the added text.
        """
        text = self._grown[index] = self._grown.get(index, "") + new
        begin = self._shown.get(index, 0)
        end = self._shown[index] = max(begin, self._form.shown(text))
        return text[begin:end]

    def finish(self, index: int, whole: str) -> tuple[str, str, list[ParsedCall]]:
        """Return the rest to show of a finished answer, its text without calls, and its calls."""
        text, calls = self._form.read(whole, self._names)
        shown = whole[: self._shown.get(index, 0)]
        if not calls:
            return whole[len(shown) :], text, calls
        begun = shown.lstrip()
        begun = begun if text.startswith(begun) else begun.rstrip()
        return text[len(begun) :], text, calls
