from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pandas")

import pandas

from lawtags_client.curation.examples import PER_STEP, StepChanges, first_change, first_examples


def _shown(*steps: tuple[str, str, str], final: str, masked: bool = True, pii: bool = True) -> dict:  # type: ignore[type-arg]
    changes = StepChanges(stride=1)
    for name, was, became in steps:
        before = pandas.DataFrame({"row": [0], "title": ["T"], "body": [was]})
        changes.note(name, before, before.assign(body=became))
    frame = pandas.DataFrame(
        {
            "row": [0],
            "id": ["7"],
            "file": ["f"],
            "line": [3],
            "title": ["T"],
            "body": [final],
            "masked": [masked],
        }
    )
    frame.attrs["steps"] = [{"name": "pii"}] if pii else []
    return changes.shown(frame)


def test_what_a_step_changed_is_shown_with_a_few_words_around_it() -> None:
    text = "Long before it, " + "x " * 40 + "the landlord{} deposit is his to keep as " + "y " * 60
    was, became = text.format("â€™s"), text.format("’s")
    shown = _shown(("unicode", was, became), final=became)
    (example,) = shown["unicode"]
    assert (example["id"], example["file"], example["line"], example["field"]) == ("7", "f", 3, "body")
    assert "landlordâ€™s deposit" in example["before"]
    assert "landlord’s deposit" in example["after"]
    assert len(example["after"]) < 140
    assert len(example["before"]) < 140


@pytest.mark.parametrize(
    ("was", "became", "final"),
    [
        # The name stands where the change is.
        ("Ask JosÃ© Quentin about it", "Ask José Quentin about it", "Ask <PERSON> about it"),
        ("Ask Quentin  Smith about it", "Ask Quentin Smith about it", "Ask about it"),
        # Its words stand elsewhere in the text that is masked, but not in this order.
        ("Ask Ann  Smith now", "Ask Ann Smith now", "Ask <PERSON> now, like Ann or Smith"),
        # A row that was refused before anything was masked in it.
        ("Ask  him", "Ask him", "Ask him"),
    ],
)
def test_what_was_masked_is_shown_of_no_step(was: str, became: str, final: str) -> None:
    masked = final != "Ask him"
    assert _shown(("cleaning", was, became), final=final, masked=masked) == {}


@pytest.mark.parametrize(
    "was",
    [
        'See <a href="https://example.com/quentin">this page</a> on it',
        "See <!-- by Quentin --> this page on it",
        "See [this page](https://example.com/quentin) on it",
        "See <quentin@example.com> this page on it",
        "See <quentin>this page</quentin> on it",
    ],
)
def test_what_markup_hides_is_not_shown(was: str) -> None:
    shown = _shown(("html", was, "See this page on it"), final="See this page on it")
    assert "quentin" not in str(shown).lower()


def test_markup_is_shown_without_its_attributes() -> None:
    was = '<p>See <a href="https://example.com/quentin">this page</a> on <b>it</b>'
    (example,) = _shown(("html", was, "See this page on it"), final="See this page on it")["html"]
    assert example["before"] == "<p>See <a …>this page</a> on <b>it</b>"


def test_of_masking_only_the_result_is_shown() -> None:
    was, became = "My landlord Quentin Smith keeps it", "My landlord <PERSON> keeps it"
    (example,) = _shown(("pii", was, became), final=became)["pii"]
    assert (example["before"], example["after"]) == (None, became)


def test_where_nothing_is_masked_everything_may_be_shown() -> None:
    shown = _shown(
        ("cleaning", "Ask Ann  Smith", "Ask Ann Smith"), final="Ask Ann Smith", masked=False, pii=False
    )
    assert shown["cleaning"][0]["before"] == "Ask Ann  Smith"


def test_partitions_do_not_decide_which_examples_there_are() -> None:
    rows = pandas.DataFrame(
        {
            "row": range(40),
            "id": [str(n) for n in range(40)],
            "file": "f",
            "line": range(40),
            "title": [f"Title  number {n}" for n in range(40)],
            "body": None,
            "masked": True,
        }
    )
    rows.attrs["steps"] = [{"name": "pii"}]

    def examples(size: int) -> object:
        parts = []
        for begin in range(0, 40, size):
            before = rows.iloc[begin : begin + size]
            after = before.assign(title=before["title"].str.replace("  ", " "))
            changes = StepChanges(stride=3)
            changes.note("cleaning", before, after)
            parts.append(changes.shown(after))
        return first_examples(parts)

    whole = examples(40)
    assert isinstance(whole, dict)
    assert [row["id"] for row in whole["cleaning"]] == [str(3 * n) for n in range(PER_STEP)]
    assert examples(1) == examples(7) == whole


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_change_is_a_piece_of_both_texts(was: str, became: str) -> None:
    before, after = first_change(was, became)
    assert before in was
    assert after in became
    if was != became:
        assert before or after
