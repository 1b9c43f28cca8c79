from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

pytest.importorskip("jinja2")

from lawtags_client.curation.write.card import card_page, card_section

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[2J\u202e"
STEP = {"name": "votes", "rows_in": 40, "rows_out": 30, "seconds": 0.5}


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


def _card(text: str) -> dict[str, Any]:
    """A card in which every text is this one."""
    row = {"id": text, "file": text, "line": 3, "reason": text, "detail": text, "title": text}
    twin = row | {"instead": text, "instead_at": {"file": text, "line": 4}}
    changed = {
        "id": text,
        "file": text,
        "line": 3,
        "field": "body",
        "before": f"a{text}",
        "after": f"b{text}",
    }
    lengths = {
        "least": 1, "half": 5, "nine_tenths": 9, "ninety_nine_hundredths": 12, "most": 40, "mean": 5.5,
        "step": 3, "rows_by_step": [4, 0, 7, 2, 1],
    }  # fmt: skip
    return {
        "digest": text,
        "seed": 42,
        "steps": [STEP, {"name": text, "rows_in": 30, "rows_out": 30, "seconds": 0, "note": text}],
        "splits": {"training": 20, "validation": 5, "testing": 5},
        "rejected": {"votes": {text: 10}},
        "examples": {"changed": {"votes": [changed]}, "dropped": {"votes": [row, twin]}},
        "labels": {
            "parts": {text: {"training": 3, "validation": 1, "testing": 0}, "b": {"training": 1}},
            "rare": {text: 1},
            "unseen": {text: 1},
            "respelled": [{"given": text, "tag": text, "rows": 2}],
            "proposals": [
                {"tag": text, "into": text, "rows": 1, "into_rows": 2, "together": 0, "why": text}
            ],
            "synonyms": {"file": text, "renamed": {text: 2}},
        },
        "prompts": {
            "rows": 30, "cut": 3, "cut_share": 0.1, "over_limit": 1, "max_tokens": 256, "tokenizer": text,
            "tokens_are_estimates": False, "most_cut": [{"id": text, "words": 900}],
            "row_tokens": lengths, "question_words": lengths,
        },
        "pii": {"counts": {text: 9}, "action": text, "model": text},
        "duplicates": {"exact_duplicates": 2, "same_id": 1},
        "same_ids": [{"id": text, "at": [{"file": text, "line": 1}, {"file": text, "line": 2}]}],
        "notes": [text],
        "forgotten": [{"at": text, "asked": 2, "rows": 1}],
        "inputs": [{"source": text, "sha256": text, "rows": 40, "test": True}],
        "outputs": {text: text},
        "versions": {text: text},
        "options": {"pii": {"entities": [text]}, text: None},
    }  # fmt: skip


@pytest.mark.parametrize("render", [card_page, card_section])
def test_what_data_say_is_text_and_nothing_else(render: Any) -> None:
    text = render(_card(HOSTILE))
    page = Page(text)
    assert page.open == []
    assert not {"script", "img"} & set(page.names)
    assert "onerror" not in {name for name, _ in page.attributes}
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;") > 30


def test_the_page_opens_without_a_network() -> None:
    text = card_page(_card("x"))
    assert not {name for name, _ in Page(text).attributes} & {"src", "href", "action"}
    assert not re.search(r"@import|url\(", text)


def test_the_same_card_gives_the_same_page_also_behind_json() -> None:
    card = _card("x")
    assert card_page(card) == card_page(json.loads(json.dumps(card)))


def test_numbers_stand_in_bars_and_tables() -> None:
    text = card_page(_card("word"))
    assert "10 × word" in text
    assert 'style="width:25.00%"' in text  # 10 of 40 rows dropped
    assert "12 to 40: 1 rows" in text  # the last bar holds all that are longer
    assert text.count("<rect") == 10
    assert "<del>a</del><ins>b</ins>word" in text


def test_a_card_of_an_earlier_version_is_shown_as_far_as_it_goes() -> None:
    text = card_page({"steps": [STEP]})
    assert Page(text).open == []
    assert "votes" in text
