"""One training row as the model sees it: its tokens, and which of them carry loss."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.json_value import JsonObject, JsonValue

DEFAULT_TEMPLATE = "{prompt} {completion}"


@dataclass(frozen=True, slots=True)
class RenderedToken:
    """A token of a row.

    Args:
        text: what it stands for.
        loss: whether the model learns to write it.
    """

    text: str
    loss: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRow:
    """A training row as the model sees it.

    Args:
        prompt: what is given.
        answer: what carries loss.
        tokens: in order, the end of text included; None without a tokenizer.
        dropped: tokens that are cut off at the beginning of the prompt.
    """

    prompt: str
    answer: str
    tokens: tuple[RenderedToken, ...] | None = None
    dropped: int = 0

    def as_json(self) -> JsonObject:
        """The row as one JSON object."""
        tokens: JsonValue = None
        if self.tokens is not None:
            tokens = [{"text": token.text, "loss": token.loss} for token in self.tokens]
        return {"prompt": self.prompt, "answer": self.answer, "tokens": tokens, "dropped": self.dropped}


def render_row(
    row: Mapping[str, object], template: str | None, tokenizer: Path | None, most: int | None
) -> RenderedRow | None:
    """Render a row of prompt and completion; None for a chat, which the platform's own template renders.

    Args:
        row: of the training file.
        template: the prompt template of the config.
        tokenizer: a ``tokenizer.json``; without one, only the texts are shown.
        most: tokens that the model takes.
    """
    if "messages" in row:
        return None
    prompt, answer = _texts(row, template or DEFAULT_TEMPLATE)
    if tokenizer is None:
        return RenderedRow(prompt=prompt, answer=answer)
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    loaded.no_truncation()
    given, whole = loaded.encode(prompt), loaded.encode(prompt + answer)
    # A last token that would merge with the answer is tokenized apart, as it is in inference.
    if whole.ids[: len(given.ids)] == given.ids:
        learned = [(prompt + answer)[begin:end] for begin, end in whole.offsets[len(given.ids) :]]
    else:
        found = loaded.encode(answer, add_special_tokens=False)
        learned = [answer[begin:end] for begin, end in found.offsets]
    shown = [prompt[begin:end] for begin, end in given.offsets]
    over = max(0, len(shown) + len(learned) + 1 - most) if most else 0
    dropped = min(over, max(len(shown) - 1, 0))
    tokens = [RenderedToken(text, False) for text in shown[dropped:]]
    tokens += [RenderedToken(text, True) for text in [*learned, "<end of text>"]]
    return RenderedRow(prompt=prompt, answer=answer, tokens=tuple(tokens[:most]), dropped=dropped)


def _texts(row: Mapping[str, object], template: str) -> tuple[str, str]:
    """Prompt and answer; the space before the last field belongs to the answer."""
    parts = list(string.Formatter().parse(template))
    last = max((index for index, (_, name, _, _) in enumerate(parts) if name), default=-1)
    before = after = ""
    for index, (literal, name, _, _) in enumerate(parts):
        value = str(row.get(name, "")).strip(" ") if name else ""
        if index < last:
            before += literal + value
        elif index == last:
            before += literal
            after = value
        else:
            after += literal
    prompt = before.rstrip(" ")
    return prompt, before[len(prompt) :] + after
