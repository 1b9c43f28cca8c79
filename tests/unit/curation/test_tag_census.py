from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.select.tag_census import TagCensus, propose_merges


def _census(*rows: str) -> TagCensus:
    census = TagCensus()
    for row in rows:
        census.add(row.split())
    return census


def _pairs(census: TagCensus) -> dict[tuple[str, str], str]:
    return {(found["tag"], found["into"]): found["why"] for found in propose_merges(census)}


def test_tags_are_counted_once_a_question_and_the_rare_ones_are_named() -> None:
    census = _census("a b", "a a", "a c")
    assert census.counts == {"a": 3, "b": 1, "c": 1}
    assert census.rarer_than(1) == {}
    assert census.rarer_than(2) == {"b": 1, "c": 1}


def test_tags_of_like_letters_are_proposed_the_rarer_into_the_more_frequent() -> None:
    census = _census("tenants", *["tenant"] * 4, "work-place", *["workplace"] * 2, "tax")
    assert _pairs(census) == {("tenants", "tenant"): "spelling", ("work-place", "workplace"): "spelling"}
    assert propose_merges(census)[0] == {
        "tag": "work-place",
        "into": "workplace",
        "rows": 1,
        "into_rows": 2,
        "together": 0,
        "letters": 1.0,
        "company": 0.0,
        "why": "spelling",
    }


def test_initials_are_proposed() -> None:
    census = _census(*["intellectual-property"] * 3, "ip")
    assert _pairs(census) == {("ip", "intellectual-property"): "initials"}


def test_tags_of_other_numbers_and_tags_that_stand_together_are_not() -> None:
    assert not _pairs(_census("section-230", "section-231"))
    assert not _pairs(_census("tenant tenants", "tenant", "tenants"))


def test_tags_of_the_same_company_are_proposed_whatever_their_letters() -> None:
    draw = random.Random(3)
    rows = []
    for first, second in (("lawyer", "attorney"), ("patent", "invention")):
        company = [f"{first}-{word}" for word in ("zeal", "fury", "hope", "mood", "joy")]
        rows += [f"{draw.choice((first, second))} {' '.join(draw.sample(company, 2))}" for _ in range(120)]
    found = _pairs(_census(*rows))
    assert {frozenset(pair) for pair, why in found.items() if why == "company"} >= {
        frozenset(("lawyer", "attorney")),
        frozenset(("patent", "invention")),
    }


@given(st.lists(st.lists(st.sampled_from(["a", "as", "law", "laws", "la-w", "al"]), max_size=3)))
def test_the_order_of_questions_does_not_matter_and_no_tag_meets_itself(rows: list[list[str]]) -> None:
    forward, back = TagCensus(), TagCensus()
    for row in rows:
        forward.add(row)
    for row in reversed(rows):
        back.add(row[::-1])
    assert propose_merges(forward) == propose_merges(back)
    assert all(found["tag"] != found["into"] for found in propose_merges(forward))
