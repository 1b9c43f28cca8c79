"""Words of any script, signs that tell words apart, and characters that nobody sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.clean.modifiers import clean_text, clean_title
from lawtags_client.curation.clean.signs import normalize_signs
from lawtags_client.curation.clean.words import words_of
from lawtags_client.curation.features.filters import count_words, repeated_share
from lawtags_client.curation.features.fingerprints import shingles, text_digest


def _likeness(first: frozenset[int], second: frozenset[int]) -> float:
    return len(first & second) / len(first | second)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("房东不退还押金，怎么办？", 9, 10),
        ("家主が敷金を返してくれません。", 12, 14),
        ("コンピューター", 1, 1),
        ("เจ้าของบ้านไม่ยอมคืนเงินประกันให้ฉันหลังจากสัญญาเช่าสิ้นสุดลง", 12, 18),
        ("ເຈົ້າຂອງເຮືອນບໍ່ຍອມຄືນເງິນ", 5, 9),
        ("ម្ចាស់ផ្ទះមិនព្រមសងប្រាក់កក់", 5, 9),
        ("집주인이 보증금을 돌려주지 않습니다", 4, 4),
        ("GDPR 第17条", 4, 4),
        ("naïve café “quoted” — words", 5, 5),
        ("", 0, 0),
    ],
)
def test_words_of_scripts_without_spaces_are_counted(text: str, least: int, most: int) -> None:
    assert least <= count_words(text) <= most


def test_repetition_and_likeness_are_seen_in_scripts_without_spaces() -> None:
    sentence = "房东在合同结束以后没有退还押金，"
    assert repeated_share(sentence * 5) > 0.15
    assert repeated_share(sentence) == 0
    other = sentence * 2 + "并且没有给出任何理由。"
    assert _likeness(shingles("押金", other), shingles("押金", other.replace("任何", "一些"))) > 0.5


@given(st.text(st.characters(max_codepoint=0x2FF)))
def test_words_of_spaced_scripts_are_parted_by_white_space(text: str) -> None:
    assert words_of(text) == text.split()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Is C++ a mark?", "Is C# a mark?"),
        ("I owe $5 now", "I owe 5% now"),
        ("I owe $5 now", "I owe €5 now"),
        ("I owe 1,000 now", "I owe 1.000 now"),
        ("Is 1/2 mine?", "Is 1:2 mine?"),
        ("Is 2² allowed?", "Is 22 allowed?"),
        ("Is 5^2 right?", "Is 5*2 right?"),
        ("Is R&D taxed?", "Is R D taxed?"),
        ("Is p | q true?", "Is p & q true?"),
        ("Is ¬p true?", "Is p true?"),
        ("Is @home a mark?", "Is home a mark?"),
        ("Is .NET a mark?", "Is NET a mark?"),
        ("Films for 18+", "Films for 18-"),
        ("Is -5 allowed?", "Is 5 allowed?"),
        ("Is a<b?", "Is a>b?"),
        ("Is x = y?", "Is x != y?"),
        ("Is 👍 a contract?", "Is 👎 a contract?"),
        ("Grade A+ or what", "Grade A- or what"),
        ("At 20° or so", "At 20 or so"),
        ("Play F# now", "Play F now"),
    ],
)
def test_questions_that_differ_in_a_sign_are_no_duplicates(first: str, second: str) -> None:
    assert text_digest(first, None) != text_digest(second, None)
    assert _likeness(shingles(first, None), shingles(second, None)) < 0.8


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Is it “legal”? Yes!", "is it legal yes"),
        ("*Is* it **legal**", "> Is it legal"),
        ("- one\n- two", "1one two"[1:]),
        ("pages 3-5", "pages 3 – 5"),
        ("half: ½ of it", "half, 1/2 of it"),
        ("Dr. Who and/or others...", "dr who and or others"),
        ("5 % of it", "5% of it"),
        ("$ 5 now", "$5 now"),
        ("non-profit e-mail", "non profit e mail"),
        ("# Heading\n====", "heading"),
        ("wide ＋1", "wide +1"),
    ],
)
def test_other_signs_make_no_other_question(first: str, second: str) -> None:
    assert text_digest(first, None) == text_digest(second, None)


@given(st.text())
def test_the_words_with_signs_are_those_of_themselves_without(text: str) -> None:
    assert normalize_signs(text) == normalize_signs(f"  {text}\n")


@pytest.mark.parametrize(
    "text",
    ["می‌خواهم بدانم", "👨‍👩‍👧 live", "👩🏽‍⚕️", "🏳️‍🌈", "❤️‍🔥", "क्‍ष", "ক্‌ষ", "ക്‍",
     "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"],
)  # fmt: skip
def test_joiners_stay_where_they_join(text: str) -> None:
    assert clean_title(text) == clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("shelf\u200cful", "shelfful"),
        ("a\u200db", "ab"),
        ("می\u200c خواهم", "می خواهم"),
        ("می\u200c\u200cخواهم", "می\u200cخواهم"),
        ("👨\u200d text", "👨 text"),
        ("\u200d👨", "👨"),
        ("a\u00adb\u200bc\u2060d\ufeffe\u200ef\u202eg\u2066h\u2063i\u180ej\u034fk\u115fl", "abcdefghijkl"),
        ("x\U000e0041y\x9fz\x1b", "xyz"),
    ],
)
def test_what_nobody_sees_goes_elsewhere(text: str, clean: str) -> None:
    assert clean_title(text) == clean_text(text) == clean
