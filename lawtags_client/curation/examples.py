"""Examples of what steps changed, without personal data.

A step that runs before masking sees personal data. An example of it therefore shows only passages that also
occur, word for word, in the masked text, and of the text before the step only the same words in another
form. Examples come from a few hundred questions, spread evenly over the data, regardless of partitions.
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from lawtags_client.curation.records import ChangeExample

if TYPE_CHECKING:
    import pandas as pd

# Questions sampled over all partitions.
_SAMPLE = 400
# Examples kept per step.
PER_STEP = 3
_MASKING = "pii"

_CONTEXT = 40
_WINDOW = 240
# After this many equal letters, two texts are assumed to be in step again.
_ALIKE = 16
_WORDS = re.compile(r"\w+")
_TAG = re.compile(r"<(/?\w*)([^<>]*)>")
_KNOWN_TAGS = {
    "a", "b", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "td", "th", "tr", "u", "ul",
}  # fmt: skip
_HALF_TAG = re.compile(r"\A[^<>]*>|<[^<>]*\Z")


def stride_for(rows: int) -> int:
    """The distance between sampled questions, for this many rows."""
    return max(1, rows // _SAMPLE)


@dataclass
class StepChanges:
    """The changes of the steps in a partition, before and after. They never leave the process.

    Args:
        stride: the distance between sampled questions.
    """

    stride: int
    _found: list[tuple[str, int, str, str, str]] = field(default_factory=list)

    def __deepcopy__(self, _: dict[int, object]) -> StepChanges:
        # Tables copy what they carry with each operation; this goes with its partition.
        return self

    def note(self, step: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
        """Record what a step changed.

        Args:
            step: its name.
            before: the rows before the step.
            after: the same rows after it.
        """
        if before is after or not len(before):
            return
        chosen = (before["row"] % self.stride == 0).to_numpy()
        if not chosen.any():
            return
        old, new = before[chosen], after[chosen]
        for name in ("title", "body"):
            for row, was, became in zip(old["row"], old[name], new[name], strict=True):
                if isinstance(was, str) and isinstance(became, str) and was != became:
                    self._found.append((step, int(row), name, was, became))

    def shown(self, frame: pd.DataFrame) -> dict[str, list[ChangeExample]]:
        """The first examples of each step that are safe to show.

        Args:
            frame: the partition after all steps.
        """
        if not self._found:
            return {}
        masking = any(step["name"] == _MASKING for step in frame.attrs["steps"])
        columns = ("row", "id", "file", "line", "title", "body", "masked")
        rows = {
            values[0]: dict(zip(columns, values, strict=True))
            for values in zip(*(frame[name].tolist() for name in columns), strict=True)
        }
        kept: dict[str, dict[int, ChangeExample]] = defaultdict(dict)
        for step, row, name, was, became in sorted(self._found, key=lambda found: found[:2]):
            final = rows[row]
            done = kept[step]
            if row in done or len(done) == PER_STEP or (masking and not final["masked"]):
                continue
            if pair := _fit(step, was, became, final[name], masking):
                done[row] = {
                    "row": row,
                    "id": final["id"],
                    "file": final["file"],
                    "line": final["line"],
                    "field": name,
                    "before": pair[0],
                    "after": pair[1],
                }
        return {step: list(done.values()) for step, done in kept.items() if done}


def first_examples(
    found: Iterable[Mapping[str, Sequence[ChangeExample]]],
) -> dict[str, list[ChangeExample]]:
    """The first of each step, of those of all partitions in their order."""
    first: dict[str, list[ChangeExample]] = {}
    for examples in found:
        for step, listed in examples.items():
            kept = first.setdefault(step, [])
            kept += [_without_row(example) for example in listed[: PER_STEP - len(kept)]]
    return first


def _without_row(example: ChangeExample) -> ChangeExample:
    shown = example.copy()
    shown.pop("row", None)
    return shown


def _fit(step: str, was: str, became: str, final: object, masking: bool) -> tuple[str | None, str] | None:
    before, after = first_change(was, became)
    if not isinstance(final, str) or not _words(after) or not _within(after, final):
        return None
    if step == _MASKING:
        return None, after
    if step == "html":
        before = _HALF_TAG.sub("", _TAG.sub(_bare, before))
        # What markup hides, such as the target of a link, is personal data as well.
        if Counter(_words(html.unescape(_TAG.sub(" ", before)))) - Counter(_words(after)):
            return None
    elif masking and step != "section_numbers" and len(before) > 2 * len(after):
        return None
    return (before, after) if before.strip() != after.strip() else None


def _bare(tag: re.Match[str]) -> str:
    """A tag without what stands in it beside its name."""
    if tag[1].removeprefix("/").lower() not in _KNOWN_TAGS:
        return "<…>"
    return f"<{tag[1]} …>" if tag[2].strip(" /") else tag[0]


def first_change(was: str, became: str) -> tuple[str, str]:
    """The first place at which two texts differ, in both, with a few words around it.

    Example:
        >>> first_change("It is Â§ 5 of the act", "It is § 5 of the act")
        ('It is Â§ 5 of the act', 'It is § 5 of the act')
    """
    begin = max(0, _same(was, became) - _CONTEXT)
    if begin:
        space = became.find(" ", begin, begin + _CONTEXT)
        begin = space + 1 if space >= 0 else begin
    old, new = was[begin : begin + _WINDOW], became[begin : begin + _WINDOW]
    differ = _same(old, new)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    old_end, new_end = len(old), len(new)
    for block in matcher.get_matching_blocks():
        if block.b >= differ and block.a >= differ and block.size >= _ALIKE:
            more = min(block.size, _CONTEXT)
            old_end, new_end = block.a + more, block.b + more
            break
    return _whole(old, old_end, was, begin), _whole(new, new_end, became, begin)


def _same(one: str, other: str) -> int:
    """How many letters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _whole(window: str, end: int, text: str, begin: int) -> str:
    """A piece of a text that does not end within a word."""
    if begin + end < len(text) and window[:end].strip():
        kept = window[:end]
        space = max(kept.rfind(" "), kept.rfind("\n"))
        return kept[:space] if space > 0 else kept
    return window[:end]


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


def _within(piece: str, text: str) -> bool:
    return f" {' '.join(_words(piece))} " in f" {' '.join(_words(text))} "
