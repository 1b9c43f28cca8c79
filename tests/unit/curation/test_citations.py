from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.citations import format_citations

CHANGED = [
    ("§107", "§ 107"),
    ("§  107", "§ 107"),
    ("§§5-7", "§§ 5–7"),
    ("§§ 5 - 7", "§§ 5–7"),
    ("§§ 5—7", "§§ 5–7"),
    ("§ §5-7", "§§ 5–7"),
    ("§§§ 5", "§§ 5"),
    ("§230(c)(1)", "§ 230(c)(1)"),
    ("§ 230 (c) (1)", "§ 230(c)(1)"),
    ("§ 107(a)-(c)", "§ 107(a)–(c)"),
    ("§ 107(a)-(c)-(e)", "§ 107(a)–(c)–(e)"),
    ("§ 107 (a) - (c)", "§ 107(a)–(c)"),
    ("17 USC 107", "17 U.S.C. § 107"),
    ("17 USC §107", "17 U.S.C. § 107"),
    ("17 U.S.C. 107", "17 U.S.C. § 107"),
    ("17 U.S.C.§107", "17 U.S.C. § 107"),
    ("17 U. S. C. § 107", "17 U.S.C. § 107"),
    ("17 U.S.C §107", "17 U.S.C. § 107"),
    ("17 USC §107(a)-(c)", "17 U.S.C. § 107(a)–(c)"),
    ("17 U.S.C. §§ 107-112", "17 U.S.C. §§ 107–112"),
    ("42 USC 2000e-5(b)", "42 U.S.C. § 2000e-5(b)"),
    ("title 17 USC", "title 17 U.S.C."),
    ("29 CFR 1910.1200", "29 C.F.R. § 1910.1200"),
    ("29 C.F.R. 1910.1200", "29 C.F.R. § 1910.1200"),
    ("8 CFR 214.2 (b)", "8 C.F.R. § 214.2(b)"),
    ("29 CFR Part 1910", "29 C.F.R. Part 1910"),
    ("45 C.F.R. §§ 46.101-46.124", "45 C.F.R. §§ 46.101–46.124"),
    ("Sec. 230", "Section 230"),
    ("Sec 230", "Section 230"),
    ("sec. 230", "Section 230"),
    ("Sec. 230 (c) (1)", "Section 230(c)(1)"),
    ("Secs. 5-7", "Sections 5–7"),
    ("Secs. 5-7, 9-11 and 13", "Sections 5–7, 9–11 and 13"),
    ("Art. 6(1)(f) GDPR", "Article 6(1)(f) GDPR"),
    ("art. 6", "Article 6"),
    ("Art 6", "Article 6"),
    ("Art. IV", "Article IV"),
    ("Arts. 5-7", "Articles 5–7"),
    ("Sch. 2", "Schedule 2"),
    ("Schs. 2-4", "Schedules 2–4"),
    ("Reg. 5", "Regulation 5"),
    ("Regs. 5-9", "Regulations 5–9"),
    ("Sections 5-7", "Sections 5–7"),
    ("sections 12(1)-14(2)", "sections 12(1)–14(2)"),
    ("articles 101-102", "articles 101–102"),
    ("§§ 1-3; 5-7 & 9", "§§ 1–3; 5–7 & 9"),
    ("§§ 3A-3C", "§§ 3A–3C"),
    ("Art. I §8", "Article I § 8"),
    ("under (Sec. 5)", "under (Section 5)"),
]

KEPT = [
    "UCC § 2-207",
    "Va. Code § 18.2-57",
    "§ 12-34-56",
    "§§ 18-1-102 to 18-1-105",
    "§§ 101-103-105",
    "§§ 10-5",
    "Section 5-7",
    "§ 230 (1996)",
    "§ 230 (a statute)",
    "42 U.S.C. § 2000e-5",
    "85 Fed. Reg. 1234",
    "10 sec. 5",
    "sec. 12:30",
    "art 6 students",
    "modern art 6",
    "USC football",
    "the USC film school",
    "5 U.S.C.A. § 552",
    "s. 12 and ss. 5-7",
    "2017-05-01",
    "01-05-2017",
    "555-1234",
    "202-555-0143",
    "+1 (202) 555-0143",
    "+44 20 7946 0958",
    "covid-19",
    "F-16 and B-52",
    "pages 5-7",
    "2015-2019",
    "9-5 job, 24-7",
    "https://example.com/§5-7/sec.5",
    "www.example.com/art.6",
    "a.sec.5@example.com",
    "`§5-7`",
    "ISBN 978-3-16-148410-0",
    "12-34-56",
    "3-4 sections 2017-05-01",
    "my-sec.5-file",
    "v1.2.3-4",
    "10.0.0.1-10.0.0.9",
    "(a)-(c)",
    "regs 5",
]


@pytest.mark.parametrize(("text", "formatted"), CHANGED)
def test_citations_get_one_form(text: str, formatted: str) -> None:
    assert format_citations(text) == formatted
    assert format_citations(f"Under {text}, may I?") == f"Under {formatted}, may I?"


@pytest.mark.parametrize("text", KEPT)
def test_everything_else_is_kept(text: str) -> None:
    assert format_citations(text) == text
    # Also beside a citation, which switches the rules on.
    assert format_citations(f"§5; {text}; §6") == f"§ 5; {text}; § 6"


@pytest.mark.parametrize("text", [text for pair in CHANGED for text in pair] + KEPT)
def test_the_table_is_settled_at_once(text: str) -> None:
    once = format_citations(text)
    assert format_citations(once) == once


PIECES = st.sampled_from(
    ["§", "§§", " ", "-", "–", "(a)", "(1)", "5", "17", "107", "USC", "U.S.C.", "CFR", "Sec.", "Arts.", "Reg",
     ".", ",", "and", "Section", "sections", "x", "2000e", "I", "\n"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join))
def test_formatting_again_changes_nothing(text: str) -> None:
    once = format_citations(text)
    assert format_citations(once) == once


@given(
    st.dates().map(str) | st.from_regex(r"\A\(?[2-9]\d\d\)?[- ][2-9]\d\d-\d{4}\Z") | st.emails()
    | st.from_regex(r"\Ahttps?://[a-z]{2,8}\.(com|org)/[a-z0-9§./-]{0,20}\Z"),
    st.sampled_from(["§5 of {} then", "17 USC 107, {}", "see Sec. 5. {}", "born {} under §§ 5-7", "{}"]),
)  # fmt: skip
def test_dates_telephones_and_addresses_are_never_touched(value: str, sentence: str) -> None:
    assert value in format_citations(sentence.format(value))
