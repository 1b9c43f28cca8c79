"""What forgotten questions alone brought leaves the data card; what the others need stays."""

from __future__ import annotations

from typing import Any

from lawtags_client.curation.forget.forgotten_tags import remaining_labels, remaining_words
from lawtags_client.curation.mask.allowed import AllowList


def test_words_of_forgotten_questions_alone_are_allowed_no_longer() -> None:
    allow = ["canary tag", "contract law", "jane roe", "miller act", "ünder wood"]
    kept = ["contract law", "never recorded"]
    texts = ["The Miller-Act's aim", "Is Jane  ROE right?", "Ünder, wood"]
    left = remaining_words(allow, kept, texts)
    assert left == ["contract law", "jane roe", "miller act", "ünder wood"]
    # Where a name stands in a text, masking still passes over it.
    assert all(name in AllowList(left) for name in ("Jane ROE", "the Miller-Act's"))


def test_a_word_inside_another_or_apart_does_not_count() -> None:
    assert remaining_words(["art law", "car"], [], ["smart law", "scar cars", "art of law", "art"]) == []
    assert remaining_words(["art law", "art"], [], ["an art; art law"]) == ["art", "art law"]
    assert remaining_words(["a b c", "a b"], [], ["a b a b", "x a b"]) == ["a b"]


def test_rare_tags_and_spellings_that_may_be_of_forgotten_rows_go() -> None:
    labels: dict[str, Any] = {
        "parts": {},
        "rare": {"canary": 1, "often": 4},
        "respelled": [
            {"given": "Canary Law", "tag": "law", "rows": 2},
            {"given": "LAW", "tag": "law", "rows": 3},
            {"given": "Canary", "tag": "canary", "rows": 9},
        ],
        "proposals": [{"tag": "canary", "into": "law"}, {"tag": "often", "into": "law"}],
    }
    left = remaining_labels(labels, ["law"], gone=2)
    assert left["rare"] == {"often": 4}
    assert [row["given"] for row in left["respelled"]] == ["LAW"]
    assert left["proposals"] == [{"tag": "often", "into": "law"}]
    assert remaining_labels(labels, ["law", "canary"], gone=0)["rare"] == labels["rare"]
