from __future__ import annotations

import json
from pathlib import Path

import pytest

from lawtags_client.curation import CurationOptions, PiiOptions
from lawtags_client.curation.step_choice import plan_steps
from lawtags_client.errors import ConfigurationError, DataError


def test_a_recipe_is_read_with_its_groups() -> None:
    options = CurationOptions.from_dict(
        {
            "columns": {"title": "headline"},
            "split": {"training": 0.95, "validation": 0.05, "testing": 0, "seed": 7},
            "pii": {"entities": ["PERSON"], "action": "mask"},
            "filters": {"min_words": 50, "min_score": None},
            "style": {"task": "Tag it.", "shortlist": 8},
            "format": "messages",
        }
    )
    assert options.split.seed == 7
    assert options.pii.entities == ("PERSON",)
    assert options.filters.min_score is None
    assert options.style.shortlist == 8
    assert options.duplicates.near


@pytest.mark.parametrize(
    "values",
    [
        {"colums": {}},
        {"pii": {"entitys": []}},
        {"pii": {"entities": ["NAME"]}},
        {"pii": {"entities": "PERSON"}},
        {"pii": {"action": "hash"}},
        {"pii": []},
        {"links": "all"},
        {"format": "alpaca"},
        {"on_bad_row": "ignore"},
        {"max_bad": 2},
        {"max_bad": "1%"},
        {"unicode": "yes"},
        {"columns": {"headline": "title"}},
        {"columns": {"title": 5}},
        {"filters": {"min_words": 1.5}},
        {"filters": {"min_words": None}},
        {"filters": {"max_repeated": 2}},
        {"split": {"training": 0}},
        {"split": {"training": -1}},
        {"split": {"seed": True}},
        {"style": {"order": "best"}},
        {"duplicates": {"threshold": 0.1}},
        {"tags": {"min_count": 0}},
        {"tags": {"synonyms": {"a": "b"}}},
        {"tags": {"synonym": "file.csv"}},
        {"split": {"by": "luck"}},
        {"split": {"by": 5}},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CurationOptions.from_dict(values)
    assert caught.value.hint


def test_the_secret_key_is_written_nowhere() -> None:
    options = CurationOptions(pii=PiiOptions(action="hash", key="canary-key"))
    assert "canary-key" not in repr(options)
    assert "canary-key" not in json.dumps(options.as_dict())
    other = CurationOptions(pii=PiiOptions(action="hash", key="another"))
    assert options.as_dict() != other.as_dict()


def test_files_that_options_name_are_known_by_their_content(tmp_path: Path) -> None:
    named = tmp_path / "synonyms.csv"
    named.write_text("synonym,tag\na,b\n", encoding="utf-8")
    options = CurationOptions.from_dict({"tags": {"synonyms": str(named)}})
    (before,) = options.file_digests().items()
    named.write_text("synonym,tag\na,c\n", encoding="utf-8")
    (after,) = options.file_digests().items()
    assert before[0] == after[0] == "tags.synonyms"
    assert before[1] != after[1]
    with pytest.raises(DataError, match="cannot be read") as caught:
        CurationOptions(forget=str(tmp_path / "none.txt")).file_digests()
    assert "forget" in str(caught.value.hint)
    assert CurationOptions().file_digests() == {}


def test_switched_off_steps_are_not_planned() -> None:
    options = CurationOptions.from_dict(
        {
            "unicode": False,
            "sections": False,
            "pii": {"entities": []},
            "filters": {"min_words": 0, "min_score": None, "max_repeated": None},
        }
    )
    assert [step.name for step in plan_steps(options)] == [
        "complete_labels",
        "html",
        "cleaning",
        "fingerprints",
    ]


def test_personal_data_goes_before_section_numbers() -> None:
    names = [step.name for step in plan_steps(CurationOptions())]
    assert names.index("pii") < names.index("section_numbers") < names.index("word_count")


def test_the_secret_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAWTAGS_PII_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=r"requires pii\.key") as caught:
        CurationOptions.from_dict({"pii": {"action": "hash"}})
    assert "LAWTAGS_PII_KEY" in str(caught.value.hint)
    monkeypatch.setenv("LAWTAGS_PII_KEY", "from outside")
    assert CurationOptions.from_dict({"pii": {"action": "hash"}}).pii.key == "from outside"
    assert CurationOptions.from_dict({"pii": {"action": "hash", "key": "given"}}).pii.key == "given"
    assert CurationOptions.from_dict({"pii": {"action": "mask"}}).pii.key is None


def test_shares_that_mix_percents_and_fractions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="mix percents and fractions"):
        CurationOptions.from_dict({"split": {"training": 90}})
    assert CurationOptions.from_dict({"split": {"training": 90, "validation": 5, "testing": 5}})
    assert CurationOptions.from_dict({"split": {"training": 2, "validation": 1, "testing": 0}})
