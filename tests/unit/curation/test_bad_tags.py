"""Tags as people write them: from a row through a training answer and back out of a model's answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.labels import MOST_LETTERS, LabelError, read_labels
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.curation.select.tag_census import TagCensus, propose_merges
from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.prompt import PromptBuilder, PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary, normalize_tag


def _tags_of(value: object) -> tuple[str, ...]:
    return read_labels(value).tags


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("Contract Law", "contract-law"),
        ("  a ,  b ", "a-b"),
        ("ﬁling", "filing"),  # a ligature
        ("ｇｄｐｒ", "gdpr"),  # wide letters
        ("cafe\u0301", "café"),  # a letter in two pieces
        ("soft\u00adhyphen", "softhyphen"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\u202eright-to-left", "right-to-left"),
        ("İstanbul", "i̇stanbul"),
        ("a\u00a0b", "a-b"),
    ],
)
def test_equivalent_tags_are_normalized_and_reported(given: str, tag: str) -> None:
    read = read_labels([given])
    assert read.tags == (tag,)
    assert read.respelled == ((given.strip(), tag),)
    assert normalize_tag(tag) == tag


def test_tags_in_their_form_are_not_told() -> None:
    assert read_labels(["contract-law", "c++", ".net"]).respelled == ()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([f"t{number}" for number in range(500)], "more than 100 tags"),
        (["x" * (MOST_LETTERS + 1)], "more than 100 letters"),
        (["a: b"], "colon"),
        (["<script>"], "bracket"),
        (["a\x1b[2J"], "control character"),
        (["---", "a"], ""),
        (["!!!"], "without a letter or digit"),
        (["\ud800"], "half a character"),
    ],
)
def test_tags_that_no_answer_could_contain_are_rejected_or_omitted(value: list[str], reason: str) -> None:
    if not reason:
        assert _tags_of(value) == ("a",)
        return
    with pytest.raises(LabelError, match=reason):
        read_labels(value)


def test_a_row_with_five_hundred_tags_affects_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"title": "A", "tags": ["a"]}, {"title": "B", "tags": [f"t{number}" for number in range(500)]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (source,) = find_sources([path])
    good, bad = (row for _, row in read_source(source, {}))
    assert isinstance(good, SourceRow)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.field, str(bad)) == (2, "tags", "has more than 100 tags (500)")


def test_lookalike_letters_stay_distinct_and_are_suggested_for_merging() -> None:
    latin, cyrillic = "contract", "соntrасt"
    assert normalize_tag(cyrillic) == cyrillic != latin
    census = TagCensus()
    for tag in (latin, latin, latin, cyrillic):
        census.add([tag, "gdpr"])
    (proposal,) = propose_merges(census)
    assert (proposal["tag"], proposal["into"], proposal["why"]) == (cyrillic, latin, "looks")


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5), st.sampled_from([", ", "; ", ","]))
def test_a_training_answer_is_parsed_back_into_the_same_tags(names: list[str], separator: str) -> None:
    try:
        tags = _tags_of(names)
    except LabelError:
        return
    vocabulary = Vocabulary.from_questions([Question(id="1", title="T", body=None, tags=tags)])
    builder = PromptBuilder(PromptStyle(separator=separator))
    parsed = parse_tags(f" {builder.completion(tags, key='1', vocabulary=vocabulary)}", vocabulary)
    assert set(parsed.tags) == set(tags)
    assert parsed.unknown == ()


@given(st.text(max_size=40))
def test_the_normal_form_is_that_of_itself(text: str) -> None:
    assert normalize_tag(normalize_tag(text)) == normalize_tag(text)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("it's", "quote"),
        ("a|b[", "bracket"),
        ("a\x00b", "control character"),
        ("😀", "without a letter"),
        ("..", "without a letter"),
    ],
)
def test_a_refused_tag_is_refused_for_the_reason_that_it_has(tag: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        read_labels([tag])
