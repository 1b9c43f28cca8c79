from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.terminal import escape_controls


def test_escape_sequences_line_ends_and_turned_writing_are_written_out() -> None:
    assert escape_controls("a\x1b[2Jb\r\n\u202ec\ud800") == "a\\u001b[2Jb\\u000d\\u000a\\u202ec\\ud800"


def test_lines_may_stay_lines() -> None:
    assert escape_controls("one\ntwo\x07", lines=True) == "one\ntwo\\u0007"


# C0 without the tab, DEL, C1 (9b begins a sequence as escape does), the ends of lines and paragraphs, the
# marks of UAX #9, and halves of pairs.
STEERING = [
    *(code for code in range(0x20) if code != 9),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *(0xD800, 0xDBFF, 0xDC00, 0xDFFF),
]


@pytest.mark.parametrize("lines", [False, True])
def test_each_character_that_steers_is_written_out_and_no_other(lines: bool) -> None:
    ends = {0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029} if lines else set()
    for code in {*STEERING} - ends:
        assert escape_controls(f"a{chr(code)}b", lines=lines) == f"a\\u{code:04x}b"
    for code in ends:
        assert escape_controls(f"a{chr(code)}b", lines=lines) == "a\nb"
    harm = {*STEERING, *range(0xD800, 0xE000)}
    plain = "".join(chr(code) for code in range(0x11000) if code not in harm)
    assert escape_controls(plain, lines=lines) == plain


@given(st.text(alphabet=st.characters()))
def test_nothing_that_steers_is_left_and_it_can_be_written(text: str) -> None:
    shown = escape_controls(text)
    assert not {ord(letter) for letter in shown} & {*STEERING}
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters()))
def test_json_reads_the_same_text_again(text: str) -> None:
    assert json.loads(escape_controls(json.dumps(text, ensure_ascii=False))) == text
