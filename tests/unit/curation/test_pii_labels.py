"""Names behind labels, in lower case behind titles, and what stands in lists like names and is none."""

from __future__ import annotations

import pytest

from lawtags_client.curation.mask.masker import PiiMasker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import PiiOptions
from lawtags_client.errors import ConfigurationError


@pytest.fixture(scope="module")
def masker() -> PiiMasker:
    try:
        find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    return PiiMasker(PiiOptions())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Father: Iosif Țăranu", ["Iosif Țăranu"]),
        ("Facts\nMother: Zsófia Kertész, nurse", ["Zsófia Kertész"]),
        ("Plaintiff: Oyelaran Adisa\nDefendant: Acme Holdings Inc.", ["Oyelaran Adisa"]),
        ("Name: Tadeusz Wrona; Witness: Ngozi Eze.", ["Tadeusz Wrona", "Ngozi Eze"]),
        ("Ms. bell hooks is my landlord.", ["bell hooks"]),
        ("I spoke to Ms. bell hooks, who saw it.", ["bell hooks"]),
        ("Mr. bell left the house.", ["bell"]),
    ],
)
def test_names_behind_labels_and_titles_are_whole(text: str, names: list[str], masker: PiiMasker) -> None:
    (found,) = masker.find([text])
    assert sorted(text[one.start : one.end] for one in found) == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        "We use Vue.js, React, Django and Big Ben and Magna Carta in the quiz.",
        "The quiz covers Magna Carta, Big Ben, Golden Gate Bridge and Mona Lisa.",
        "Owner: Ford Motor Company",
        "Tenant: Both parties\nWitness: None\nName: To be announced",
        "Landlord: see clause 4. Plaintiff: Small Claims Court",
        "Please use ms. word for the form.",
    ],
)
def test_things_behind_labels_and_in_lists_stay(text: str, masker: PiiMasker) -> None:
    (found,) = masker.find([text])
    assert [text[one.start : one.end] for one in found] == []
