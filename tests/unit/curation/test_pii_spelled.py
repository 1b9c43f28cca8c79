"""Mail addresses and telephone numbers in the forms by which people hide or dot them."""

from __future__ import annotations

import pytest

from lawtags_client.curation.mask.masker import PiiMasker
from lawtags_client.curation.options import PiiOptions


@pytest.fixture(scope="module")
def masker() -> PiiMasker:
    return PiiMasker(PiiOptions(entities=("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "URL")))


@pytest.mark.parametrize(
    "address",
    [
        "jo.roe [at] firm [dot] co [dot] uk",
        "jo(at)firm(dot)org",
        "jo {at} firm {dot} net",
        "jo <at> firm <dot> net",
        "jo [at] firm.org",
        "jo[@]firm[.]org",
        "jo AT firm DOT org",
        "JO_ROE AT FIRM DOT ORG",
        "jo AT firm.org",
        "annabel at posteo dot de",
        "jo dot roe at firm dot com",
        "jo_roe_at_firm_dot_com",
        "jo@firm dot com",
        "jo @ firm . com",
        "jo.roe [ät] firm [punkt] de",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Write to {}, please.", "({})", "mail: {}\nthanks"])
def test_spelled_mail_addresses_are_found_whole(address: str, around: str, masker: PiiMasker) -> None:
    assert masker.mask([around.format(address)])[0] == [around.format("<EMAIL_ADDRESS>")]


@pytest.mark.parametrize(
    "text",
    [
        "We met (at) school. Dot was there.",
        "look (at) this.It is bad",
        "He stopped at example dot org to read it",
        "Look at node dot js, and meet me at noon dot",
        "I was AT home AND DOT called me",
        "The DOT regulations apply AT work DOT",
        "a dot product at time t, and the dot at the end",
        "The desk at the firm [sic] paid at once (dot your i).",
    ],
)
def test_prose_stays(text: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [text]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mailto:a@b.example?cc=c@d.example", "mailto:<EMAIL_ADDRESS>?cc=<EMAIL_ADDRESS>"),
        ("mailto:jo%40firm.org?bcc=al%40firm.org", "mailto:<EMAIL_ADDRESS>?bcc=<EMAIL_ADDRESS>"),
        ("mailto:?to=jo@firm.org&cc=al@firm.org,ed@firm.org",
         "mailto:?to=<EMAIL_ADDRESS>&cc=<EMAIL_ADDRESS>,<EMAIL_ADDRESS>"),
        ("[write](mailto:jo@firm.org?subject=Hi%20there&cc=al@firm.org)",
         "[write](mailto:<EMAIL_ADDRESS>?subject=Hi%20there&cc=<EMAIL_ADDRESS>)"),
    ],
)  # fmt: skip
def test_every_address_of_a_mail_link_is_found(text: str, masked: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [masked]


@pytest.mark.parametrize(
    "number",
    ["555.010.1234", "212.555.0187", "1.415.555.0132", "(555) 010-1234", "+1.555.010.9876", "555-014-7788"],
)
def test_numbers_in_the_groups_of_north_america_are_found(number: str, masker: PiiMasker) -> None:
    assert masker.mask([f"He answers {number} only."])[0] == ["He answers <PHONE_NUMBER> only."]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.415.555 of 12.05.2021",
        "ISBN 978.316.1484",
        "1.234.567.890 bytes for 1.234.567 euro",
        "order 410-123-4567 and case 555-123-4567",
        "section 410.123.4567 and 123.456.7890",
        "555.0101",
    ],
)
def test_other_numbers_with_dots_stay(text: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [text]
