from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.terminal import harmless


def test_escape_sequences_line_ends_and_turned_writing_are_written_out() -> None:
    assert harmless("a\x1b[2Jb\r\n\u202ec\ud800") == "a\\u001b[2Jb\\u000d\\u000a\\u202ec\\ud800"


def test_lines_may_stay_lines() -> None:
    assert harmless("one\ntwo\x07", lines=True) == "one\ntwo\\u0007"


@given(st.text(alphabet=st.characters()))
def test_nothing_that_steers_is_left_and_it_can_be_written(text: str) -> None:
    shown = harmless(text)
    assert shown.isprintable() or not set(shown) & set("\x1b\r\n\x9b")
    assert "\n" not in shown
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters()))
def test_json_reads_the_same_text_again(text: str) -> None:
    assert json.loads(harmless(json.dumps(text, ensure_ascii=False))) == text
