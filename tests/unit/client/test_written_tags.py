"""Tags that a model wrote, their probabilities, and abstaining."""

from __future__ import annotations

import math
from itertools import accumulate
from pathlib import Path

import httpx
import pytest
from client_kit import client
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client import tag
from lawtags_client.asking.constraints import constraints
from lawtags_client.asking.likelihoods import tag_likelihoods
from lawtags_client.errors import ProtocolError
from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import CompletionChoice, CompletionLogprobs

KNOWN = Vocabulary.from_questions(
    [Question(id="1", title="t", body=None, tags=("contract-law", "tax", "tort"))]
)


def answer(text: str, tokens: dict[str, float | None] | None) -> CompletionChoice:
    logprobs = None
    if tokens is not None:
        logprobs = CompletionLogprobs(tokens=list(tokens), token_logprobs=list(tokens.values()))
    return CompletionChoice(text=text, logprobs=logprobs)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (" contract-law, tax", {" contract": -0.1, "-law": -0.2, ",": -0.9, " tax": -0.5}),
        (" contract-law, tax", {" contract": -0.1, "-law": -0.2, ",": -0.9, " tax": -0.5, "<eos>": -3.0}),
        (" contract-law, tax", {"Ġcontract": -0.1, "-law": -0.2, ",": -0.9, "Ġtax": -0.5}),
        ('["contract-law","tax"]', {'["': -5.0, "contract-law": -0.3, '","': -2.0, "tax": -0.5, '"]': -1.0}),
        ("Tags: contract-law\n- tax", {"Tags:": -5.0, " contract-law": -0.3, "\n-": -2.0, " tax": -0.5}),
    ],
    ids=["plain", "with an end", "tokenizer's own", "json", "bullets"],
)
def test_score_is_the_probability_of_the_tags_own_tokens(text: str, tokens: dict[str, float | None]) -> None:
    found = tag_likelihoods(answer(text, tokens), parse_tags(text, KNOWN).tags, KNOWN)
    assert found == pytest.approx({"contract-law": math.exp(-0.3), "tax": math.exp(-0.5)})


@pytest.mark.parametrize(
    "tokens", [None, {}, {"something": -1.0, " else": -1.0}], ids=["none", "empty", "of another text"]
)
def test_without_fitting_log_probabilities_there_are_no_scores(
    tokens: dict[str, float | None] | None,
) -> None:
    assert tag_likelihoods(answer(" tax", tokens), ("tax",), KNOWN) == {}


@given(text=st.text(alphabet="ctax-lorw ,\n[]\":'", max_size=40), data=st.data())
def test_every_tag_that_is_read_has_a_probability(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    values = [data.draw(st.floats(-20, 0)) for _ in pieces]
    choice = CompletionChoice(
        text=text, logprobs=CompletionLogprobs(tokens=pieces, token_logprobs=list(values))
    )
    assert sum(map(len, pieces)) == len(text) and list(accumulate(map(len, pieces)))[-1] == len(text)
    tags = parse_tags(text, KNOWN).tags
    found = tag_likelihoods(choice, tags, KNOWN)
    assert set(found) == set(tags)
    assert all(0 <= value <= 1 for value in found.values())


def test_constraints_name_each_tag_of_the_vocabulary() -> None:
    regex, schema = constraints(KNOWN, 5)
    assert regex.keys() == {"guided_regex"}
    assert schema["guided_json"]["properties"]["tags"]["items"]["enum"] == list(KNOWN.tags)
    assert constraints(KNOWN, 1)[0] == {"guided_choice": list(KNOWN.tags)}


@pytest.mark.parametrize(
    ("threshold", "tags"), [(None, ("tax", "tort")), (0.5, ("tax",)), (0.99, ())], ids=str
)
async def test_tags_below_the_threshold_are_left_out(
    threshold: float | None, tags: tuple[str, ...], tmp_path: Path
) -> None:
    logprobs = {"tokens": [" tax", ",", " tort"], "token_logprobs": [-0.1, -0.1, -2.0]}
    choice = {"index": 0, "text": " tax, tort", "logprobs": logprobs}
    nemo = client(lambda _: httpx.Response(200, json={"choices": [choice]}), tmp_path)
    tagged = await tag(nemo, title="t", model="m", vocabulary=KNOWN, threshold=threshold)
    assert tagged.tags == tags
    assert tagged.scores == pytest.approx({"tax": math.exp(-0.1), "tort": math.exp(-2.0)})


async def test_threshold_without_log_probabilities_is_an_error(tmp_path: Path) -> None:
    choice = {"index": 0, "text": " tax"}
    nemo = client(lambda _: httpx.Response(200, json={"choices": [choice]}), tmp_path)
    with pytest.raises(ProtocolError, match="log-probabilities"):
        await tag(nemo, title="t", model="m", vocabulary=KNOWN, threshold=0.5)


@pytest.mark.parametrize("piece", ["\n", " ", "- ", "1. ", "\n- ", "a,", " \t"])
def test_long_answers_are_read_in_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    found = tag_likelihoods(answer(text, {text: -1.0}), ("tax",), KNOWN)
    assert found == pytest.approx({"tax": math.exp(-1.0)})
