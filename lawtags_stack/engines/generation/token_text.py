"""The bytes of each token, for exact incremental decoding."""

from __future__ import annotations

import codecs
import json
from functools import lru_cache

from lawtags_stack.chat.tokenizer import FastTokenizer


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    # Byte-level BPE maps each byte to a printable character: printable bytes to themselves, the others to
    # characters from U+0100 on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}


class TokenText:
    """Converts token ids to bytes and text.

    Args:
        tokenizer: a fast Hugging Face tokenizer (byte-level BPE or SentencePiece style).
    """

    def __init__(self, tokenizer: FastTokenizer) -> None:
        self._tokenizer = tokenizer
        decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
        self._byte_level = '"ByteLevel"' in decoder
        self._special = frozenset(tokenizer.all_special_ids)
        self._bytes: dict[int, bytes] = {}

    def is_special(self, token: int) -> bool:
        """Whether the token is a control token, which is never part of an answer."""
        return token in self._special

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token; for a control token, its name."""
        found = self._bytes.get(token)
        if found is None:
            found = self._bytes[token] = self._spell(token)
        return found

    def name_of(self, token: int) -> str:
        """The token as text; incomplete characters are written as ``bytes:`` with hex escapes."""
        raw = self.bytes_of(token)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def _spell(self, token: int) -> bytes:
        text = self._tokenizer.convert_ids_to_tokens(token)
        if text is None:  # padding of the model's vocabulary
            return b""
        if token in self._special:
            return str(text).encode("utf-8")
        if self._byte_level:
            table = _byte_of_character()
            if all(character in table for character in text):
                return bytes(table[character] for character in text)
            return str(text).encode("utf-8")
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            return bytes([int(text[3:5], 16)])
        return str(text).replace("▁", " ").encode("utf-8")


class TextStream:
    """The text of a growing answer, cut at the first stop string.

    Text that may be the start of a stop string, and incomplete characters, are held back.

    Args:
        stop: strings that end the answer.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._given = 0
        self.text = ""
        self.stopped = False

    def feed(self, raw: bytes) -> None:
        """Append the bytes of the next token."""
        self._append(self._decoder.decode(raw))

    def close(self) -> None:
        """End the text; incomplete characters become a replacement character."""
        if not self.stopped:
            self._append(self._decoder.decode(b"", final=True))

    def _append(self, new: str) -> None:
        if not new or self.stopped:
            return
        longest = max((len(word) for word in self._stop), default=0)
        start = max(0, len(self.text) - longest)
        self.text += new
        places = [place for word in self._stop if (place := self.text.find(word, start)) >= 0]
        if places:
            self.text = self.text[: min(places)]
            self.stopped = True

    def take(self, *, final: bool = False) -> str:
        """Return the new text that can be shown; ``final`` includes what was held back."""
        end = len(self.text) if final or self.stopped else len(self.text) - self._held()
        new = self.text[self._given : end]
        self._given = max(self._given, end)
        return new

    def _held(self) -> int:
        longest = max((len(word) for word in self._stop), default=1) - 1
        for length in range(min(longest, len(self.text)), 0, -1):
            if any(word.startswith(self.text[-length:]) for word in self._stop if len(word) > length):
                return min(length, len(self.text))
        return 0
