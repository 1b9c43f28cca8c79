"""A change of what texts come out as is told to those whose model was trained on the earlier ones."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest

from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import ENTITIES, CurationOptions, PiiOptions
from lawtags_client.curation.questions import TEXT_VERSION, QuestionTexts, plain_question

# One for each kind of rule: HTML, Markdown, links, wrong encodings, spaces, citations, forms, names.
PROBES = [
    ("Is it legal &amp; fair? [closed]",
     "<p>See <a href='https://example.com/x?a=1'>this</a>:</p><ul><li>one</li></ul>"),
    ("Markdown",
     "> quoted\n\n**bold** and `code`, [a link](https://example.com), ![image](https://example.com/i.png)"),
    ("Donâ€™t I owe tax?", "line\r\n\r\n\r\n\r\nbreaks\u00a0and\u200b marks   in\ttext"),
    ("Sec. 107 of 17 U.S.C. sec. 107(a)(2)",
     "See section 5 (a), Art. 3 and §§ 12-14. It was 42 U.S.C. § 1983."),
    ("Mail a.b@example.com", "Call +1 (415) 555-0134 or 020 7946 0958, from 192.168.1.17 or 2001:db8::1."),
    ("Who sees https://user:secret@example.com/a?token=abc",
     "My SSN is 078-05-1120; my card 4111 1111 1111 1111."),
    ("I live at 12 Elm Street, Springfield, IL 62704", "The IBAN is DE89 3704 0044 0532 0130 00."),
    ("My landlord John Miller sued me",
     "Dear Mr. O'Connor, my sister Anna-Lena van der Berg met JANE SMITH."),
    ("Miranda v. Arizona and Judge Judy",
     "Marbury v. Madison, in re Smith, the Lanham Act, New York, California."),
    ("Node.js on May 5, 2020", "C++ and C# are languages. x<y and List<String> stay. The Old Bailey sat."),
    ("MR. MCGLINCHEY, Rev. Wiremu and a John Deere mower in MIRANDA V. ARIZONA",
     "<!-- x -->See [this][1] and ![][2]<br>\n<b>now\n\n[1]: https://example.com\n[2]: https://example.com/i.png"),
]  # fmt: skip
FORMS = PiiOptions(entities=tuple(kind for kind in ENTITIES if kind not in ("PERSON", "LOCATION")))


def digest(texts: QuestionTexts) -> str:
    ready = [plain_question(title, body, texts) for title, body in PROBES]
    return hashlib.sha256(json.dumps([[each.title, each.body] for each in ready]).encode()).hexdigest()[:16]


def test_texts_come_out_as_the_version_of_the_rules_says() -> None:
    found = {
        "version": TEXT_VERSION,
        "forms": digest(QuestionTexts(CurationOptions(pii=FORMS))),
        "targets": digest(QuestionTexts(CurationOptions(pii=FORMS, links="text_and_target", sections=False))),
        "model": find_model()[1],
        "names": digest(QuestionTexts(CurationOptions())),
    }
    # Where a rule was changed, raise TEXT_VERSION and CODE_VERSION, and put here what is found now.
    assert found == {
        "version": 3,
        "forms": "a53f0ce08aef5529",
        "targets": "7845de724fed370b",
        "model": "en_core_web_md 3.8.0",
        "names": "5c7b1c928ff3d15a",
    }


def test_other_rules_than_those_of_the_training_are_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded = QuestionTexts().as_dict()
    with caplog.at_level(logging.WARNING):
        QuestionTexts.from_dict(recorded)
        QuestionTexts.from_dict({name: value for name, value in recorded.items() if name != "version"})
    assert caplog.records == []
    other = recorded | {"version": "another, of this test"}
    with caplog.at_level(logging.WARNING):
        QuestionTexts.from_dict(other)
        QuestionTexts.from_dict(other)
    (record,) = caplog.records
    assert "version another, of this test of the rules" in record.getMessage()
    assert f"version {TEXT_VERSION}" in record.getMessage()
    assert "lawtags run RECIPE --new" in record.getMessage()
