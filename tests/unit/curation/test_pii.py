from __future__ import annotations

from itertools import pairwise

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.mask.masker import PiiMasker, mask_texts, masker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import ENTITIES, PiiOptions
from lawtags_client.errors import ConfigurationError

FORMS = PiiOptions(entities=tuple(entity for entity in ENTITIES if entity not in ("PERSON", "LOCATION")))


def _masked(text: str, options: PiiOptions = FORMS) -> str:
    return masker(options).mask([text])[0][0]


@pytest.fixture(scope="module")
def names() -> PiiMasker:
    try:
        find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    return masker(PiiOptions())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+law@example.co.uk, please.", "Write to <EMAIL_ADDRESS>, please."),
        ("<jane@example.com>", "<<EMAIL_ADDRESS>>"),
        ("See https://example.com/a?b=1&c=2#d.", "See <URL>."),
        ("(see http://example.com/a_(b))", "(see <URL>)"),
        ("[text](https://example.com/x)", "[text](<URL>)"),
        ("<https://example.com>", "<<URL>>"),
        ("www.example.org, example.com/path and example.net", "<URL>, <URL> and <URL>"),
        ("Call (202) 555-0143 or 202-555-0143.", "Call <PHONE_NUMBER> or <PHONE_NUMBER>."),
        ("+1 202.555.0143; +44 20 7946 0958", "<PHONE_NUMBER>; <PHONE_NUMBER>"),
        ("my number is 555-0123", "my number is <PHONE_NUMBER>"),
        ("(it is from +44 7700 900862)", "(it is from <PHONE_NUMBER>)"),
        ("the number 2016/399 of that act", "the number 2016/399 of that act"),
        ("call me at 2025550143", "call me at <PHONE_NUMBER>"),
        ("from 203.0.113.7 today", "from <IP_ADDRESS> today"),
        ("from 2001:db8::1 today", "from <IP_ADDRESS> today"),
        ("I live at 742 Evergreen Terrace.", "I live at <ADDRESS>."),
        ("at 12 Oak St., Springfield, IL 62704. Then", "at <ADDRESS>. Then"),
        ("at 1600 N Main Street Apt 4B, Austin, TX 78701", "at <ADDRESS>"),
        ("10 Downing Street, London SW1A 2AA", "<ADDRESS>"),
        ("in der Hauptstraße 12, 10115 Berlin", "in der <ADDRESS>"),
        ("au 12 rue de la Paix, 75002 Paris", "au <ADDRESS>"),
        ("Calle de Alcalá 45, 28014 Madrid", "<ADDRESS>"),
        ("P.O. Box 123", "<ADDRESS>"),
        ("12 County Road 9, not before", "<ADDRESS>, not before"),
        ("at 12 Oak Street, Dayton, Ohio. Then", "at <ADDRESS>. Then"),
        ("to The Mill, Duck Lane, York YO1 9ZZ today", "to <ADDRESS> today"),
        ("at 9 Chemin du Lac, Gatineau, QC J8X 9Z9", "at <ADDRESS>"),
        ("in Am Hang 4, 01099 Dresden", "in <ADDRESS>"),
        ("Goetheplatz 3, 60313 Frankfurt am Main", "<ADDRESS>"),
        ("House No. 45, Sector 21, Chandigarh 160022", "<ADDRESS>"),
        ("9 Lotus Marg, Jayanagar, Bengaluru 560041", "<ADDRESS>"),
        ("203.0.113.5:8080", "<IP_ADDRESS>:8080"),
        ("at https://lena:geh3im@files.example.com/a?token=x1 now", "at <URL> now"),
        ("at https://lena:g|e{h}@files/a?sig=x1== now", "at <URL> now"),
        ("(mysql://root:pw@db.example.org:3306/x)", "(<URL>)"),
        ("redis://:pw@cache.example.org", "<URL>"),
        ("svc:pw@db.example.org:5432/x, mail:jo@example.org", "<URL>, mail:<EMAIL_ADDRESS>"),
        ("example.com?key=1, example.org:8443/x?y and example.net#t", "<URL>, <URL> and <URL>"),
        ("I live at 4 March Street and at 6 Oaks Drive", "I live at <ADDRESS> and at <ADDRESS>"),
        ("in June 4 Hill Street, Dayton, OH was sold", "in June <ADDRESS> was sold"),
        ("since 1820 Elm Street, Suite 4 stood empty", "since <ADDRESS> stood empty"),
    ],
)
def test_what_has_a_form_is_found_whole_and_no_more(text: str, masked: str) -> None:
    assert _masked(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Section 230 and 18 U.S.C. 1028",
        "18 U.S.C. §§ 929-1028",
        "case 2019-1234567, No. 12-345-6789",
        "on 2017-05-01 or 01/05/2017, 2015-2019",
        "DE89 3704 0044 0532 0130 00",
        "$1 234 567 890 in damages",
        "ISBN 978-3-16-148410-0",
        "410 U.S. 113 (1973)",
        "127.0.0.1",
        "12:30:45 and 1:2",
        "v1.2.3.4.5",
        "9 Supreme Court justices and 3 District Court judges",
        "5 ways to do it, 24 hours",
        "the 14th Amendment",
        "file.py and Node.js, e.g. i.e. etc.",
        "a@b and @user",
        "Powering 6 servomotors, 2 weeks notice",
        "Norwegian 5 day rule",
        "and/or 50/50",
        "My case number is 2021-0345-6789",
        "Serial number 5550 1234 9876",
        "version 10.2.0.1 of the program",
        "On 9 September Court clerks went on strike",
        "on 8 Dec. Street lights failed",
        "On October 2 Hill Way was closed",
        "between 3-4 July Place of delivery changed",
        "After 1 Mai Platz was mein Problem",
        "Since 2019 Tower Drive has had no light",
        "All 30 Members Close their accounts",
        "We paid 80 Euros Court fees",
        "the scheme https:// and a//b",
    ],
)
def test_what_only_looks_alike_is_kept(text: str) -> None:
    assert _masked(text) == text


def test_names_are_found_in_title_and_body(names: PiiMasker) -> None:
    ((title, body),), counts = names.mask_documents(
        [("Can Quentin Abernathy evict me?", "My landlord is Quentin Abernathy. Abernathy says he can.")]
    )
    assert title == "Can <PERSON> evict me?"
    assert body == "My landlord is <PERSON>. <PERSON> says he can."
    assert counts["PERSON"] == 3


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("My brother Will moved out.", "My brother <PERSON> moved out."),
        ("Our neighbour May Fairweather left.", "Our neighbour <PERSON> left."),
        ("Frau Oberländer and Officer Dunleavy came.", "Frau <PERSON> and Officer <PERSON> came."),
        ("Ms. van Houtte froze it.", "Ms. <PERSON> froze it."),
        ("Hello Rajesh, you are fired.", "Hello <PERSON>, you are fired."),
        ("What can I do? Best regards, Anselm Riddlesworth", "What can I do? Best regards, <PERSON>"),
        ("Delacroix never replied to my letter.", "<PERSON> never replied to my letter."),
        ("I, ROSALIND FAIRBAIRN, waive nothing.", "I, <PERSON>, waive nothing."),
        ("It was signed by R. J. Castellanos.", "It was signed by <PERSON>."),
        ("We own the cabin below Mount Hazelback.", "We own the cabin below <LOCATION>."),
    ],
)
def test_the_words_around_a_name_give_it_away(names: PiiMasker, text: str, masked: str) -> None:
    assert names.mask([text])[0] == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "Does Roe v. Wade apply in Texas, Berlin or New South Wales?",
        "In re Gault and Obergefell v. Hodges changed the law in the United States.",
        "Judge Judy and Chief Justice Roberts decided under Section 230.",
        "What did Judge Judy mean? Judy said no.",
        "The Lanham Act, Megan's Law and Miranda rights in California.",
        "Will I be liable? Mark it as paid. May I sue?",
        "The European Court of Justice and the Supreme Court of Canada on the GDPR.",
        "Does Skidmore deference help, or a Mareva injunction, or a Pierringer release?",
        "The Vermieter keeps the Kaution, and Dad got a Mahnbescheid from the Amtsgericht.",
        "Dear Sir, hello World: the Dean told the Registrar.",
        "He fell in the Grand Canyon, near Lake Superior, or on Mount Everest.",
        "Scalia and Kant would agree, Amazon says.",
    ],
)
def test_the_law_itself_is_no_personal_data(names: PiiMasker, text: str) -> None:
    assert names.mask([text])[0] == [text]


def test_findings_are_in_place_and_in_order(names: PiiMasker) -> None:
    text = "Quentin Abernathy wrote to a@example.com."
    (found,) = names.find([text])
    assert [(text[f.start : f.end], f.entity) for f in found] == [
        ("Quentin Abernathy", "PERSON"),
        ("a@example.com", "EMAIL_ADDRESS"),
    ]


def test_tags_of_the_data_are_allowed() -> None:
    text = "Zebulon Quux asked about Zebulon Quux again."
    with_tag = masker(PiiOptions(allow=("zebulon quux",)))
    assert with_tag.mask([text])[0] == [text]


@pytest.mark.parametrize(
    ("options", "masked"),
    [
        (PiiOptions(("EMAIL_ADDRESS",)), "Ask <EMAIL_ADDRESS> now"),
        (PiiOptions(("EMAIL_ADDRESS",), "redact"), "Ask now"),
        (PiiOptions(("EMAIL_ADDRESS",), "mask"), "Ask ************* now"),
        (PiiOptions(("URL",)), "Ask a@example.com now"),
        (PiiOptions(()), "Ask a@example.com now"),
    ],
)
def test_each_action_does_what_it_says(options: PiiOptions, masked: str) -> None:
    assert _masked("Ask a@example.com now", options) == masked


def test_hashes_tell_people_apart_and_depend_on_the_key() -> None:
    one, other = (PiiOptions(("EMAIL_ADDRESS",), "hash", key) for key in ("k1", "k2"))
    text = "a@example.com b@example.com A@example.com"
    first, second, third = _masked(text, one).split()
    assert first == third != second
    assert _masked(text, other).split()[0] != first
    assert first.startswith("<EMAIL_ADDRESS:")


def test_settings_of_one_masker_do_not_reach_another() -> None:
    texts = pandas.Series(["a@example.com", None, "https://example.com/x"], index=[5, 6, 7], dtype=object)
    mails = mask_texts(texts, PiiOptions(("EMAIL_ADDRESS",)))
    pages = mask_texts(texts, PiiOptions(("URL",), "redact"))
    assert list(mails) == ["<EMAIL_ADDRESS>", None, "https://example.com/x"]
    assert list(pages) == ["a@example.com", None, ""]
    assert list(mails.index) == [5, 6, 7]


def test_a_very_long_text_is_read_in_pieces(names: PiiMasker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lawtags_client.curation.mask.people_and_places._LONGEST", 1000)
    text = "word " * 500 + "My landlord is Quentin Abernathy."
    (masked,), _ = names.mask([text])
    assert "Abernathy" not in masked


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no_such_model"):
        PiiMasker(PiiOptions(model="no_such_model"))


@given(st.text(max_size=80))
def test_no_text_raises_and_what_is_masked_is_gone(text: str) -> None:
    (findings,) = masker(FORMS).find([text])
    assert all(first.end <= second.start for first, second in pairwise(findings))
    _masked(text)
