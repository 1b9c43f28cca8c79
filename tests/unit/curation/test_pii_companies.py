"""Companies, products and cases that read like persons stay; the persons beside them do not."""

from __future__ import annotations

import pytest

from lawtags_client.curation.mask.allowed import find_shouted_cases
from lawtags_client.curation.mask.companies import find_companies
from lawtags_client.curation.mask.cues import address_tells
from lawtags_client.curation.mask.masker import PiiMasker, masker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import PiiOptions
from lawtags_client.errors import ConfigurationError


@pytest.fixture(scope="module")
def names() -> PiiMasker:
    try:
        find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    return masker(PiiOptions())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I bought a John Deere mower.", ["John Deere mower", "John Deere"]),
        ("JOHN DEERE'S software, and Jack Daniel’s", ["JOHN DEERE", "Jack Daniel’s"]),
        ("Ben & Jerry's or Ben&Jerrys", ["Ben & Jerry's", "Ben&Jerrys"]),
        ("Okafor Plumbing, LLC owes me", ["Okafor Plumbing, LLC"]),
        ("It was Anna Lindqvist & Sons.", ["Anna Lindqvist & Sons"]),
        ("A Greta Halvorsen® bag", ["A Greta Halvorsen®"]),
        ("an Anna Lindqvist handbag", ["Anna Lindqvist handbag"]),
        ("My neighbor John Deere left", []),
        ("Mr. Jack Daniels left", []),
        ("Mr. Okafor's car, Dr. Ada Okafor's watch", []),
        ("Anna Lindqvist's car", []),
        ("I sold Anna Lindqvist shares", []),
        ("Ben and Jerry's landlord", []),
    ],
)
def test_a_company_is_known_by_its_name_or_what_stands_behind_it(text: str, found: list[str]) -> None:
    assert sorted(text[start:end] for start, end in find_companies(text)) == sorted(found)


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("MIRANDA V. ARIZONA", "MIRANDA V. ARIZONA"),
        ("Does TERRY VS. OHIO matter?", "TERRY VS. OHIO"),
        ("IS KELO V CITY OF NEW LONDON STILL LAW", "KELO V CITY OF NEW LONDON"),
        ("I TOLD JOHN ABOUT ROE V. WADE", "ROE V. WADE"),
        ("MR. VICTOR V. CHEN LEFT", None),
        ("MY LANDLORD VICTOR V. CHEN LEFT", None),
        ("Victor V. Chen left", None),
        ("V. ARIZONA", None),
    ],
)
def test_a_case_in_capitals_is_told_from_an_initial(text: str, case: str | None) -> None:
    found = [text[start:end] for start, end in find_shouted_cases(text)]
    assert len(found) == (case is not None)
    assert case is None or found[0].startswith(case)


@pytest.mark.parametrize(
    "text",
    [
        "Can I repair my John Deere tractor?",
        "Does John Deere own the software?",
        "May I print the Ben & Jerry's logo?",
        "Hugo Boss jacket from Calvin Klein",
        "DOES DR. PEPPER OWN IT",
        "IS GIDEON V. WAINWRIGHT GOOD LAW",
        "Rev. Rul. 59-60 and 12 Harv. L. Rev. Forum 3",
    ],
)
def test_what_reads_like_a_person_stays(names: PiiMasker, text: str) -> None:
    assert names.mask([text])[0] == [text]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("MR. MCGLINCHEY KEPT IT", "MR. <PERSON> KEPT IT"),
        ("DR. OYELARAN IS LATE", "DR. <PERSON> IS LATE"),
        ("MS. İPEK'S DOG BIT ME", "MS. <PERSON>'S DOG BIT ME"),
        ("MRS. ÇELİK LEFT", "MRS. <PERSON> LEFT"),
        ("MY LANDLORD VICTOR V. CHEN LIED", "MY LANDLORD <PERSON> LIED"),
        ("Rev. Wiremu told me", "Rev. <PERSON> told me"),
        ("Reverend Okafor and Lt. Col. Hargreaves", "Reverend <PERSON> and Lt. Col. <PERSON>"),
        ("the rev. wiremu parata said so", "the rev. <PERSON> said so"),
        ("jones, alice - a@b.example", "<PERSON> - <EMAIL_ADDRESS>"),
        ("Okafor, Ada <ada@b.example>", "<PERSON> <<EMAIL_ADDRESS>>"),
        ("contact lindqvist, greta (g@b.example)", "contact <PERSON> (<EMAIL_ADDRESS>)"),
        ("greta lindqvist - gl@b.example", "<PERSON> - <EMAIL_ADDRESS>"),
        ("Thanks, Greta Lindqvist <g@b.example>", "Thanks, <PERSON> <<EMAIL_ADDRESS>>"),
        ("apples, pears - shop@b.example", "apples, pears - <EMAIL_ADDRESS>"),
        ("the invoice - billing@b.example", "the invoice - <EMAIL_ADDRESS>"),
        ("My neighbor John Deere left", "My neighbor <PERSON> left"),
        ("SMITH V. JONES? MY BOSS GRETA LINDQVIST LIED", "SMITH V. JONES? MY BOSS <PERSON> LIED"),
    ],
)
def test_a_person_in_capitals_behind_a_title_or_before_an_address_goes(
    names: PiiMasker, text: str, masked: str
) -> None:
    assert names.mask([text])[0] == [masked]


def test_an_address_tells_a_name_by_its_words_or_initials() -> None:
    for local in ("a", "alice", "jones", "ajones", "alice.j", "aj", "ja", "j.alice99", "alice_jones"):
        assert address_tells(local, ("jones", "alice")), local
    for local in ("sales", "shop", "info", "b"):
        assert not address_tells(local, ("jones", "alice")), local
