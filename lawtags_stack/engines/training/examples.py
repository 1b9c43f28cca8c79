"""Tokenizes rows, with a mask of the tokens to learn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lawtags_client.errors import ConfigurationError
from lawtags_stack.chat.dropped_fields import DroppedFieldCheck
from lawtags_stack.chat.messages import MessageError, Tool, plain_messages, plain_tools
from lawtags_stack.chat.template import ChatTemplate, TemplateError
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.engines.training.rows import PromptTemplate, TrainingRow

_CHUNK = 1024  # rows per call; the tokenizer uses all cores


class Sized(Protocol):
    """An item that can be batched."""

    @property
    def width(self) -> int:
        """Its tokens in a batch of one, including padding."""
        ...


ItemT = TypeVar("ItemT", bound=Sized)


@dataclass(frozen=True, slots=True)
class Example:
    """The token ids of one row, with a flag per token whether it is learned."""

    tokens: list[int]
    learnt: list[bool]

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @property
    def width(self) -> int:
        """Its tokens in a batch of one."""
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Encoded(Generic[ItemT]):
    """All examples of a dataset, the number of truncated rows, and of truncated answers."""

    examples: list[ItemT]
    cut: int
    answers_cut: int = 0


class RowEncoder:
    """Encodes completion rows with the prompt template and chat rows with the chat template.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        prompt_template: for rows without ``messages``; None allows chat rows only.
        tools: tool schemas for chat rows without their own.
        max_seq_length: longer examples are truncated at the start of the prompt; the completion is truncated
            at its end only if it alone is too long.

    Raises:
        ConfigurationError: the tokenizer has no end-of-text token.
    """

    def __init__(
        self,
        tokenizer: FastTokenizer,
        *,
        prompt_template: str | None,
        max_seq_length: int,
        tools: Sequence[Tool] = (),
    ) -> None:
        end = tokenizer.eos_token_id
        if end is None:
            raise ConfigurationError("the tokenizer of the base model has no end-of-text token")
        self._tokenizer, self._end = tokenizer, end
        self._template = PromptTemplate(prompt_template) if prompt_template else None
        self._tools = list(tools) or None
        self._chats = ChatTemplate(tokenizer)
        self._losses = DroppedFieldCheck(self._chats)
        self._limit = max_seq_length
        self._answers_cut = 0

    @property
    def padding(self) -> int:
        """The padding token."""
        token = self._tokenizer.pad_token_id
        return self._end if token is None else token

    @property
    def answer_field(self) -> str | None:
        """The last field of the prompt template; None if there is no template."""
        return self._template.answer_field if self._template else None

    def encode(self, rows: Iterable[TrainingRow]) -> Encoded[Example]:
        """Encode all rows, in order.

        Raises:
            DataError: a field that the template needs is missing.
        """
        examples: list[Example] = []
        cut = self._answers_cut = 0
        chunk: list[TrainingRow] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                cut += self._encode_chunk(chunk, examples)
                chunk = []
        if chunk:
            cut += self._encode_chunk(chunk, examples)
        return Encoded(examples, cut, self._answers_cut)

    def _encode_chunk(self, rows: list[TrainingRow], into: list[Example]) -> int:
        found: dict[int, Example] = {}
        chats = [index for index, row in enumerate(rows) if "messages" in row.content]
        for index in chats:
            found[index] = self._chat(rows[index])
        others = [index for index in range(len(rows)) if index not in found]
        found.update(zip(others, self._completions([rows[index] for index in others]), strict=True))
        cut = 0
        for index in range(len(rows)):
            example = found[index]
            if len(example.tokens) > self._limit:
                cut += 1
                example = self._shortened(example)
            into.append(example)
        return cut

    def _completions(self, rows: list[TrainingRow]) -> list[Example]:
        if not rows:
            return []
        if self._template is None:
            raise rows[0].error("the row has no messages, and the config has no prompt template", "messages")
        pairs = [self._template.render(row) for row in rows]
        prompts = self._tokenizer([prompt for prompt, _ in pairs])["input_ids"]
        wholes = self._tokenizer([prompt + answer for prompt, answer in pairs])["input_ids"]
        examples = []
        for (_, answer), prompt, whole in zip(pairs, map(self._open, prompts), wholes, strict=True):
            rest = self._after(prompt, self._open(whole), answer)
            rest.append(self._end)
            examples.append(Example(prompt + rest, [False] * len(prompt) + [True] * len(rest)))
        return examples

    def _open(self, tokens: list[int]) -> list[int]:
        # Some tokenizers append an end token to every text; here the text continues.
        return tokens[:-1] if tokens and tokens[-1] == self._end else tokens

    def _after(self, prompt: list[int], whole: list[int], answer: str) -> list[int]:
        # In inference, the prompt is tokenized alone. If its last token would merge with the start of the
        # answer, tokenize the answer separately.
        if whole[: len(prompt)] == prompt:
            return whole[len(prompt) :]
        return self._tokenizer(answer, add_special_tokens=False)["input_ids"]

    def _chat(self, row: TrainingRow) -> Example:
        spans, text = self._spans(row)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        if any(start < low < end for low, _ in spans for start, end in offsets):
            example = self._in_pieces(text, spans)
        else:
            learnt = [any(low <= start and end <= high for low, high in spans) for start, end in offsets]
            example = Example(encoded["input_ids"], learnt)
        if not any(example.learnt):
            raise row.error("the conversation has no assistant message to learn from", "messages")
        return example

    def _in_pieces(self, text: str, spans: list[tuple[int, int]]) -> Example:
        # If a template ends the question with a space, the space would merge with the answer's first token;
        # but in inference, the space is a separate token.
        example = Example([], [])
        begin = 0
        for low, high in [*spans, (len(text), len(text))]:
            for piece, wanted in ((text[begin:low], False), (text[low:high], True)):
                found = self._tokenizer(piece, add_special_tokens=False)["input_ids"] if piece else []
                example.tokens.extend(found)
                example.learnt.extend([wanted] * len(found))
            begin = high
        return example

    def _spans(self, row: TrainingRow) -> tuple[list[tuple[int, int]], str]:
        try:
            tools = plain_tools(row.content.get("tools") or self._tools)
            given = plain_messages(row.content["messages"])
            for index, message in enumerate(given):
                if message["role"] == "assistant" and not message["content"] and "tool_calls" not in message:
                    raise MessageError(
                        "the answer has neither content nor calls", f"messages[{index}].content"
                    )
            messages = self._chats.prepared(given, tools)
            text = self._chats.render(messages, tools)
            spans = []
            for index, message in enumerate(messages):
                if message["role"] == "assistant":
                    before = self._chats.render(messages[:index], tools, generation=True)
                    until = self._chats.render(messages[: index + 1], tools)
                    # Some templates rewrite earlier turns when later ones follow; those turns are not
                    # learned.
                    if until.startswith(before) and text.startswith(until):
                        spans.append((len(before), len(until.rstrip("\n"))))
        except MessageError as error:
            raise row.error(error.reason, error.field) from error
        except TemplateError as error:
            raise row.error(error.message, "messages") from error
        if (lost := self._losses.find(given, tools, text)) is not None:
            raise row.error("the model's chat template does not render this field, so it would be lost", lost)
        return spans, text

    def _shortened(self, example: Example) -> Example:
        over = len(example.tokens) - self._limit
        first = example.learnt.index(True)
        # Keep the beginning-of-text token, for models that never saw text without it.
        keep = 1 if example.tokens[0] == self._tokenizer.bos_token_id and first > 1 else 0
        start = keep + min(over, max(first - keep - 1, 0))
        tokens = example.tokens[:keep] + example.tokens[start:]
        learnt = example.learnt[:keep] + example.learnt[start:]
        self._answers_cut += any(learnt[self._limit :])
        return Example(tokens[: self._limit], learnt[: self._limit])
