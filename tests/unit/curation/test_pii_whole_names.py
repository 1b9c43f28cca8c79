"""Names are masked whole, whatever their letters, joints and case, and what only reads like one stays."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.mask.accents import compose
from lawtags_client.curation.mask.case import recase
from lawtags_client.curation.mask.english_words import EnglishWords, english_words
from lawtags_client.curation.mask.masker import PiiMasker, masker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.mask.shapes import NAME_WORD, whole_name
from lawtags_client.curation.options import PiiOptions
from lawtags_client.errors import ConfigurationError


@pytest.fixture(scope="module")
def names() -> PiiMasker:
    try:
        find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    return masker(PiiOptions())


@pytest.fixture(scope="module")
def words(names: PiiMasker) -> EnglishWords:
    return english_words(find_model()[0])


SHAPES = [
    "McGlinchey", "MacCrimmon", "DeAngelo", "LaBelle", "O'Mahony", "O’Mahony", "D'Ambrosio", "N'Diaye",
    "Ta'Keya", "van den Broek", "von und zu Stein", "de la Vega", "della Rovere", "bin Hamad", "al-Farsi",
    "el-Masri", "ter Haar", "van 't Wout", "dos Anjos", "St. Cyr", "Ní Cheallaigh", "Ó Faoláin", "ten Cate",
    "Ashe-Whitlock", "Ashe‐Whitlock", "Abd-el-Rahim", "Jean-Noël", "Țiriac", "Nguyễn", "Đỗ", "Şahin", "Łącka",
    "Þórarinsson", "vanderBeek", "d'Estienne",
]  # fmt: skip
CUES = ["Mr. {} called.", "My landlord {} called.", "Dear Ms. {}, hello.", "It was signed by {} today."]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_of_any_shape_is_masked_whole_behind_every_cue(names: PiiMasker, name: str, form: str) -> None:
    texts = [unicodedata.normalize(form, cue.format(name)) for cue in CUES]
    assert names.mask(texts)[0] == [cue.format("<PERSON>") for cue in CUES]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Mr. Brambell's cat and Ms. Haines' lease.", "Mr. <PERSON>'s cat and Ms. <PERSON>' lease."),
        ("Dr. Okonjo’s bill", "Dr. <PERSON>’s bill"),
        ("Dear Mr. FOTHERGILL, pay.", "Dear Mr. <PERSON>, pay."),
        ("My tenant SIOBHAN FENWICK left.", "My tenant <PERSON> left."),
        ("MY NEPHEW DWAYNE TOOK THE KEYS AND LEFT", "MY NEPHEW <PERSON> TOOK THE KEYS AND LEFT"),
        ("The deed names PHYLLIDA CROMARTIE only.", "The deed names <PERSON> only."),
        ("my flatmate katarzyna zielinska wont pay", "my flatmate <PERSON> wont pay"),
        ("mr penhallow said no, mrs baker said yes", "mr <PERSON> said no, mrs <PERSON> said yes"),
        ("dear ms o'connor-hayes, pay", "dear ms <PERSON>, pay"),
        ("my name is thandiwe mokoena", "my name is <PERSON>"),
        ("hi, i'm ruaridh galbraith and new here", "hi, i'm <PERSON> and new here"),
        ("any ideas? thanks, oyinkansola", "any ideas? thanks, <PERSON>"),
        ("Ludmila Zajac - lz@example.com", "<PERSON> - <EMAIL_ADDRESS>"),
        ("From: Ottoline Frere <of@example.org>", "From: <PERSON> <<EMAIL_ADDRESS>>"),
        ("My lawyer, Dr. Ilse Aichner, agrees.", "My lawyer, Dr. <PERSON>, agrees."),
        ("my aunt zuleika left. Zuleika was old.", "my aunt <PERSON> left. <PERSON> was old."),
    ],
)
def test_names_are_found_in_any_case_and_place(names: PiiMasker, text: str, masked: str) -> None:
    assert names.mask([text])[0] == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "We build on Node.js, React.js and Vue.js.",
        "The Old Bailey and the John Rylands Library are open.",
        "my landlord refuses to fix it and my boss said so",
        "my client list, my doctor visit and my child support",
        "MY BOSS FIRED ME, IS THAT LEGAL IN OHIO?",
        "ALL SALES FINAL, NO REFUNDS",
        "Kind regards, Customer Care",
        "Our Privacy Office will answer.",
        "hi all, i'm new here and this is my question",
        "thanks in advance",
        "San Marino has no treaty with Fort Wayne.",
        "Valentine's Day, Hobson's choice and Crohn's disease",
        "It took 10 ms longer, and i am an EU citizen",
    ],
)
def test_what_only_reads_like_a_name_stays(names: PiiMasker, text: str) -> None:
    assert names.mask([text])[0] == [text]


def test_one_name_has_one_digest(names: PiiMasker) -> None:
    hashing = masker(PiiOptions(action="hash", key="k"))
    forms = [
        "Mr. O'Mahony-Brûlé called.",
        "Mr. O’MAHONY-BRÛLÉ called.",
        "mr o'mahony-brûlé called.",
        "Mr. O'Mahony-Brûlé's car.",
        unicodedata.normalize("NFD", "Mr. O'Mahony‐Brûlé called."),
    ]
    digests = {re.findall(r"<PERSON:[0-9a-f]+>", text)[0] for text in hashing.mask(forms)[0]}
    assert len(digests) == 1
    assert digests != set(re.findall(r"<PERSON:[0-9a-f]+>", hashing.mask(["Mr. O'Mahony called."])[0][0]))


def test_nothing_of_a_name_is_left_by_redaction(names: PiiMasker) -> None:
    redacting = masker(PiiOptions(action="redact"))
    texts = ["Ask Mr. McGlinchey's son.", "Ask my sister DeAndria Vo now.", "Ask Ms. van den Broek, please."]
    assert redacting.mask(texts)[0] == ["Ask Mr. son.", "Ask my sister now.", "Ask Ms. , please."]


LETTERS = st.text(st.sampled_from("aeéêșợưñå̧o̊ XÉȘ가ᄀ각한नि'’-. \n"), max_size=24)


@given(LETTERS, st.data())
def test_places_in_composed_text_lead_back_to_the_text(text: str, data: st.DataObject) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    for form in (text, decomposed):
        composed = compose(form)
        assert composed.text == unicodedata.normalize("NFC", form)
        start = data.draw(st.integers(0, len(composed.text)))
        end = data.draw(st.integers(start, len(composed.text)))
        first, last = composed.origin(start, end)
        assert 0 <= first <= last <= len(form)
        assert composed.text[start:end] in unicodedata.normalize("NFC", form[first:last])
        assert composed.origin(0, len(composed.text)) == (0, len(form))


@given(st.text(st.sampled_from("abeßİıÉO'’-. \nVMRIT"), max_size=40) | LETTERS)
def test_capitals_are_put_letter_for_letter(words: EnglishWords, text: str) -> None:
    assert [sign.lower() for sign in recase(text, words).text] == [sign.lower() for sign in text]


@pytest.mark.parametrize(
    ("word", "known"),
    [("landlords", True), ("refused", True), ("stopped", True), ("wont", True), ("took", True),
     ("lindholm", False), ("oyelaran", False)],
)  # fmt: skip
def test_the_dictionary_knows_words_in_their_forms(words: EnglishWords, word: str, known: bool) -> None:
    assert words.knows(word) is known


def test_without_a_dictionary_nothing_is_taken_for_a_name(tmp_path: Path) -> None:
    empty = EnglishWords(str(tmp_path))
    assert empty.is_empty and empty.knows("lindholm")
    assert recase("MR LINDHOLM", empty).text == "MR LINDHOLM"


@pytest.mark.parametrize("text", ["It's", "I'm", "IRS", "can't", "Don't", "x", "React.js"])
def test_what_is_no_word_of_a_name(text: str) -> None:
    assert not NAME_WORD.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "known", "whole"),
    [
        ("met Mo'ana Kea's", "ana", "Mo'ana"),
        ("the Smith-like house", "Smith", "Smith"),
        ("anti-Lund talk", "Lund", "Lund"),
        ("met Wei-ling now", "Wei", "Wei-ling"),
        ("for Inês dos Anjos too", "Inês", "Inês dos Anjos"),
        ("a van Smith owned", "Smith", "Smith"),
        ("with de la Cruz\nand", "Cruz", "de la Cruz"),
        ("Thanks\nJoe", "Joe", "Joe"),
    ],
)
def test_a_part_of_a_name_leads_to_the_whole(text: str, known: str, whole: str) -> None:
    start = text.index(known)
    begin, end = whole_name(text, start, start + len(known), {"like", "anti"}.__contains__)
    assert text[begin:end] == whole


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ms. Ford sued Mr. McDonald at McDonald's.", "Ms. <PERSON> sued Mr. <PERSON> at McDonald's."),
        ("My tenant 李小龙 left, and so did Mr. حسن.", "My tenant <PERSON> left, and so did Mr. <PERSON>."),
        ("My lawyer, משה לוי, agrees.", "My lawyer, <PERSON>, agrees."),
        ("Please help.\n\nBest,\nNgaio", "Please help.\n\nBest,\n<PERSON>"),
        ("Dear Sir or Madam, I rent.", "Dear Sir or Madam, I rent."),
        ("Dear Judge, I rent from Mr. Speaker.", "Dear Judge, I rent from Mr. Speaker."),
        ("My landlord said 你好 to me.", "My landlord said 你好 to me."),
    ],
)
def test_a_cue_decides_over_brands_and_scripts(names: PiiMasker, text: str, masked: str) -> None:
    assert names.mask([text])[0] == [masked]
