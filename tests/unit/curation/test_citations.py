from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lawtags_client.curation.clean.citations import format_citations

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
    ("(§5)", "(§ 5)"),
    ("§ 5§6", "§ 5§ 6"),
    ("§§5,6", "§§ 5,6"),
    ("§15B", "§ 15B"),
    ("§18.2-57", "§ 18.2-57"),
    ("§2-207(2)(a)", "§ 2-207(2)(a)"),
    ("§44-7-30", "§ 44-7-30"),
    ("§433 Abs. 1 BGB", "§ 433 Abs. 1 BGB"),
    ("BGB §433", "BGB § 433"),
    ("§§433-435 BGB", "§§ 433–435 BGB"),
    ("N.Y. Gen. Bus. Law §349", "N.Y. Gen. Bus. Law § 349"),
    ("Cal. Civ. Code §1950.5", "Cal. Civ. Code § 1950.5"),
    ("Tex. Prop. Code §§ 92.101-92.109", "Tex. Prop. Code §§ 92.101–92.109"),
    ("§§ 5, 7-9", "§§ 5, 7–9"),
    ("§§ 5-7, 9-11", "§§ 5–7, 9–11"),
    ("§§ 5-7 and 9-11", "§§ 5–7 and 9–11"),
    ("§§ 5-7 or 9", "§§ 5–7 or 9"),
    ("§§ 2a-2c", "§§ 2a–2c"),
    ("§§ 1.1-1.5", "§§ 1.1–1.5"),
    ("§§ 101-103(a)", "§§ 101–103(a)"),
    ("§§ 101(a)-103(b)", "§§ 101(a)–103(b)"),
    ("§§ 1201(a)-1201(c)", "§§ 1201(a)–1201(c)"),
    ("§§ 101-1532", "§§ 101–1532"),
    ("§§ 5‑7", "§§ 5–7"),
    ("§ 107(a)(1)-(3)", "§ 107(a)(1)–(3)"),
    ("§ 512(c)(1)(A)-(C)", "§ 512(c)(1)(A)–(C)"),
    ("§ 230 (c)(1)(A)", "§ 230(c)(1)(A)"),
    ("§ 230(c) (1)", "§ 230(c)(1)"),
    ("42 usc 1983", "42 U.S.C. § 1983"),
    ("42 u.s.c. 1983", "42 U.S.C. § 1983"),
    ("42 usc § 1983", "42 U.S.C. § 1983"),
    ("42USC 1983", "42 U.S.C. § 1983"),
    ("42 U.S.C.1983", "42 U.S.C. § 1983"),
    ("17 USC Sec. 107", "17 U.S.C. § 107"),
    ("17 USC Section 107(a)", "17 U.S.C. § 107(a)"),
    ("17 U.S.C. sec. 107", "17 U.S.C. § 107"),
    ("17 USC Sections 107-112", "17 U.S.C. §§ 107–112"),
    ("17 USC 106A", "17 U.S.C. § 106A"),
    ("15 USC 78j (b)", "15 U.S.C. § 78j(b)"),
    ("26 USC 501 (c) (3)", "26 U.S.C. § 501(c)(3)"),
    ("28 USC §§1331-1332", "28 U.S.C. §§ 1331–1332"),
    ("5 USC 552a", "5 U.S.C. § 552a"),
    ("11 USC 101 et seq.", "11 U.S.C. § 101 et seq."),
    ("42 USC 1981-1988", "42 U.S.C. § 1981-1988"),
    ("17 CFR 240.10b-5", "17 C.F.R. § 240.10b-5"),
    ("47 cfr 64.1200(c)", "47 C.F.R. § 64.1200(c)"),
    ("47 C. F. R. § 64.1200", "47 C.F.R. § 64.1200"),
    ("40 C.F.R.60.1", "40 C.F.R. § 60.1"),
    ("8 CFR 214.2 (h) (4) (ii)", "8 C.F.R. § 214.2(h)(4)(ii)"),
    ("14 CFR part 107", "14 C.F.R. part 107"),
    ("29 CFR §§ 1910.1200-1910.1202", "29 C.F.R. §§ 1910.1200–1910.1202"),
    ("29 CFR Sec. 1910.1200", "29 C.F.R. § 1910.1200"),
    ("Sec.5", "Section 5"),
    ("Sec. 3-5", "Section 3-5"),
    ("Secs. 3, 4 and 5", "Sections 3, 4 and 5"),
    ("section 230 (c)", "section 230(c)"),
    ("section 230(c) (1)", "section 230(c)(1)"),
    ("sections 5 - 7", "sections 5–7"),
    ("sections 5-7 and 9-12", "sections 5–7 and 9–12"),
    ("Section 107(a)-(c)", "Section 107(a)–(c)"),
    ("Art. 101-102 TFEU", "Article 101-102 TFEU"),
    ("Arts. 101-102 TFEU", "Articles 101–102 TFEU"),
    ("Art. II, Sec. 2", "Article II, Section 2"),
    ("Art. I, § 8, cl. 3", "Article I, § 8, cl. 3"),
    ("Art. 6 (1) (f)", "Article 6(1)(f)"),
    ("Article 17(2)-(3)", "Article 17(2)–(3)"),
    ("Articles 12-23", "Articles 12–23"),
    ("Sch 2", "Schedule 2"),
    ("Sch. 2 para. 5", "Schedule 2 para. 5"),
    ("Reg 4", "Regulation 4"),
    ("Reg. 4(2) (a)", "Regulation 4(2)(a)"),
    ("regulation 4 (2)", "regulation 4(2)"),
    ("Regulations 4-6", "Regulations 4–6"),
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
    "§ 433 BGB",
    "§ 1-101",
    "§§ 2-207 and 2-209",
    "§§ 2-207 to 2-209",
    "§§ 2-207 through 2-209",
    "§§ 1-101–1-105",
    "§§ 44-7-30-44-7-37",
    "sections 2-207 and 2-209",
    "§§ 5-5",
    "§§ 05-07",
    "§§ 5--7",
    "§§ IV-VI",
    "O.C.G.A. § 44-7-30",
    "Cal. Penal Code §§ 484-502.9",
    "ORS 90.300-90.310",
    "18 USC Chapter 44",
    "5 U.S.C. App. 3",
    "3 us companies",
    "Pub. L. 104-191",
    "Rule 12(b)(6)-(7)",
    "410 U.S. 113, 150-152",
    "347 U.S. 483 (1954)",
    "Reg. (EU) 2016/679",
    "Regulation (EU) 2016/679",
    "Directive 95/46/EC",
    "form 10-K",
    "Sec. 10-K",
    "art. 6-year-old",
    "Art. 5-covid",
    "Art. 2017-05-01",
    "Sec. 05/01/2017",
    "SEC. 5",
    "Section 8's",
    "section 8-approved",
    "section 5 of 2015-2019",
    "¶¶ 5-7",
    "H.R. 1234",
    "1-800-555-0199",
    "0800-1234",
    "May 5-7, 2017",
    "GPT-4 and COVID-19",
    "IBAN DE89-3704-0044-0532-0130-00",
    "SSN 078-05-1120",
    "ZIP 90210-1234",
    "5-4 decision",
    "0.5-0.7 %",
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
@example("5USC5USC§")
@example("5CFR5USC5CFR1")
def test_formatting_again_changes_nothing(text: str) -> None:
    once = format_citations(text)
    assert format_citations(once) == once


def test_the_table_is_as_long_as_it_is_meant_to_be() -> None:
    table = [text for text, _ in CHANGED] + KEPT
    assert len(set(table)) == len(table) >= 150


# What stands in a list of sections, or right behind it, and is none of them.
STRANGERS = (
    st.dates().map(str)
    | st.dates().map("{:%d-%m-%Y}".format)
    | st.dates().map("{:%m/%d/%Y}".format)
    | st.from_regex(r"\A[2-9]\d\d-[2-9]\d\d-\d{4}\Z")
    | st.from_regex(r"\A\([2-9]\d\d\) [2-9]\d\d-\d{4}\Z")
    | st.from_regex(r"\A[2-9]\d\d-\d{4}\Z")
    | st.from_regex(r"\A\+[1-9]\d? ?[1-9]\d{1,2}[- ]\d{3}[- ]\d{4}\Z")
    | st.from_regex(r"\A0\d{2,4}-\d{4,6}\Z")
    | st.from_regex(r"\A1-8\d\d-[2-9]\d\d-\d{4}\Z")
    | st.emails()
    | st.from_regex(r"\A(https?://|www\.)[a-z]{2,8}\.(com|org)/[a-z0-9§./-]{0,20}\Z")
)


@given(
    STRANGERS,
    st.sampled_from(
        ["§§ 5-7, {} too", "§§5-7 and {}", "Secs. 1-3; {}", "Sections 5, 6 or {}", "17 USC 107 ({})",
         "Art. 5: {}", "§ 230 {}", "§§ 5-7 {}", "29 CFR 1910.1200, {}", "sections 5-7 & {} then"]
    ),
)  # fmt: skip
def test_a_date_or_telephone_in_a_list_of_sections_is_no_section(value: str, sentence: str) -> None:
    assert value in format_citations(sentence.format(value))


@given(STRANGERS, st.lists(PIECES, max_size=6).map("".join))
def test_formatting_beside_anything_is_settled_at_once(value: str, citation: str) -> None:
    once = format_citations(f"{citation} {value} {citation}")
    assert format_citations(once) == once


@given(
    st.dates().map(str) | st.from_regex(r"\A\(?[2-9]\d\d\)?[- ][2-9]\d\d-\d{4}\Z") | st.emails()
    | st.from_regex(r"\Ahttps?://[a-z]{2,8}\.(com|org)/[a-z0-9§./-]{0,20}\Z"),
    st.sampled_from(["§5 of {} then", "17 USC 107, {}", "see Sec. 5. {}", "born {} under §§ 5-7", "{}"]),
)  # fmt: skip
def test_dates_telephones_and_addresses_are_never_touched(value: str, sentence: str) -> None:
    assert value in format_citations(sentence.format(value))


@pytest.mark.parametrize(
    "text",
    [
        "The fair sells folk art. 9 booths were closed.",
        "Hang on a sec. 7 boxes are missing.",
        "It went dark for one sec. 2 alarms rang.",
        "The lobby is full of art. 11 frames fell down.",
        "The dispute is about works of art. 3 of them are gone.",
        "It is state of the art. 8 patents cover it.",
        "The Museum of Modern Art. 14 rooms are closed.",
        "He teaches Liberal Arts. 20 students complained.",
        "This is modern art. I think so.",
        "Wait a sec. I'm not done.",
        "I sold the car with its reg. 6 weeks later it was stolen.",
        "They showed us pop art. 5 of the prints were ours.",
    ],
)
def test_the_end_of_a_sentence_is_no_citation(text: str) -> None:
    assert format_citations(text) == text


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("The buyer breached sec. 9. He must pay.", "The buyer breached Section 9. He must pay."),
        ("under sec. 3 tenants may leave", "under Section 3 tenants may leave"),
        ("a breach of art. 32 GDPR", "a breach of Article 32 GDPR"),
        ("Does art. 14(2) help me?", "Does Article 14(2) help me?"),
        ("under Art. I of the Constitution", "under Article I of the Constitution"),
        ("Sec. 4 requires a deed.", "Section 4 requires a deed."),
        ("GDPR Art. 5 principles apply.", "GDPR Article 5 principles apply."),
        ("(art. 8; sec. 2)", "(Article 8; Section 2)"),
        ("The lease repeats sec. 6 of the Act", "The lease repeats Section 6 of the Act"),
        ("a Sec. 8 voucher", "a Section 8 voucher"),
    ],
)
def test_what_stands_around_it_makes_a_citation(text: str, formatted: str) -> None:
    assert format_citations(text) == formatted
