from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.curation import (
    CurationOptions,
    CurationProgress,
    CurationReport,
    DuplicateOptions,
    FilterOptions,
    PiiOptions,
    SplitOptions,
    curate,
)
from lawtags_client.errors import DataError
from lawtags_client.tagging.prompt import PromptStyle

Write = Callable[..., Path]

# Names need a model of 40 MB; what has a form of its own does not.
FORMS = PiiOptions(entities=("EMAIL_ADDRESS", "URL", "PHONE_NUMBER"))
PLAIN = CurationOptions(pii=FORMS)
PARTS = ("training", "validation", "testing")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _questions(out: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for part in PARTS:
        path = out / "questions" / f"{part}.jsonl"
        for row in _rows(path) if path.exists() else ():
            found[row["id"]] = row | {"part": part}
    return found


def _rejected(out: Path) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in _rows(out / "rejected.jsonl")}


def _steps(report: CurationReport) -> dict[str, tuple[int, int]]:
    return {step.name: (step.rows_in, step.rows_out) for step in report.steps}


def _files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*.jsonl"))
        if ".curation" not in path.parts
    }


def test_the_layout_holds_rows_for_the_customizer_and_the_questions_beside_them(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    seen: list[CurationProgress] = []
    out = tmp_path / "out"
    report = curate([write(questions)], out, PLAIN, on_progress=seen.append)
    assert sum(report.splits.values()) == 80
    for part in PARTS:
        rows = _rows(out / part / f"{part}.jsonl")
        beside = _rows(out / "questions" / f"{part}.jsonl")
        assert len(rows) == len(beside) == report.splits[part] > 0
        assert [row["row"] for row in beside] == list(range(len(beside)))
        for row, question in zip(rows, beside, strict=True):
            assert set(row) == {"prompt", "completion"}
            assert row["prompt"].endswith("Tags:")
            assert question["title"] in row["prompt"]
            assert sorted(row["completion"].split(", ")) == sorted(question["tags"])
            assert question["source"]["file"] == "questions.jsonl"
            raw = questions[question["source"]["line"] - 1]
            assert question["id"] == str(raw["question_id"])
            assert f"- § {raw['question_id'] - 999}" in question["body"]
    stored = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(report.as_dict()))
    assert stored["steps"][0]["name"] == "read"
    assert {"name", "rows_in", "rows_out", "seconds"} <= set(stored["steps"][0])
    counts = list(_steps(report).values())
    assert [rows_out for _, rows_out in counts][:-1] == [rows_in for rows_in, _ in counts][1:]
    assert {progress.step for progress in seen} >= {"reading", "cleaning", "writing"}
    assert not (out / ".curation").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_partitions_and_processes_changes_no_byte(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path, workers: int
) -> None:
    path = write([*questions, questions[3] | {"question_id": 5, "score": 99}, b"broken"])
    options = CurationOptions(pii=FORMS, max_bad=0.5)
    # One process applies the steps itself; two get them as a pipeline of NeMo Curator.
    whole = curate([path], tmp_path / "whole", options, partition_rows=1000)
    split = curate([path], tmp_path / "split", options, partition_rows=21, workers=workers)
    assert len(split.pii["partitions"]) == 4
    assert _files(tmp_path / "whole") == _files(tmp_path / "split")
    assert whole.digest == split.digest


def test_each_kind_of_dirt_is_refused_by_its_step_and_no_neighbour_is_lost(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    base = questions[0]
    body = base["question_body"]
    near = body.replace("word", "Word", 3).replace("</p>", " indeed</p>")
    dirt: dict[int, dict[str, Any]] = {
        1: {"question_body": "<p>" + " ".join(f"w{n}" for n in range(15)) + "</p>"},
        2: {"question_body": "<p>" + " ".join(f"w{n}" for n in range(16)) + "</p>"},
        3: {"score": -1},
        4: {"question_body": "<p>" + "please answer me soon now " * 12 + "</p>"},
        5: {"question_title": base["question_title"].upper(), "question_body": body, "score": -0.0},
        6: {"question_title": base["question_title"], "question_body": near, "score": 1},
        7: {"tags_complete": False},
        8: {"tags": []},
        9: {"score": None, "question_body": None},
    }
    rows = [
        questions[number] | {"question_id": number, "question_title": f"Row {number}?"} | change
        for number, change in dirt.items()
    ]
    base["score"] = 5
    out = tmp_path / "out"
    report = curate([write([*rows, *questions])], out, PLAIN)
    assert {id_: row["step"] for id_, row in _rejected(out).items()} == {
        "1": "word_count",
        "3": "votes",
        "4": "repeated_ngrams",
        "5": "exact_duplicates",
        "6": "near_duplicates",
        "7": "complete_labels",
        "8": "complete_labels",
    }
    rejected = _rejected(out)
    assert rejected["1"] | {"title": ""} == {
        "step": "word_count",
        "reason": "fewer than 16 words",
        "file": "questions.jsonl",
        "line": 1,
        "field": "body",
        "id": "1",
        "detail": "15 words",
        "title": "",
    }
    assert rejected["5"]["instead"] == rejected["6"]["instead"] == "1000"
    assert rejected["7"]["reason"] == "labels incomplete"
    assert set(_questions(out)) == {"2", "9"} | {str(row["question_id"]) for row in questions}
    assert report.rejected["complete_labels"] == {"labels incomplete": 1, "no tags": 1}
    assert _steps(report)["complete_labels"] == (89, 87)


def test_personal_data_is_in_no_file(questions: list[dict[str, Any]], write: Write, tmp_path: Path) -> None:
    secret = "canary.person@example.com"
    changes = ({}, {"score": -5}, {"tags_complete": False}, {"tags": 5}, {"score": "x"})
    for number, change in enumerate(changes):
        text = f"Ask {secret} about it"
        questions[number] |= {"question_title": text, "question_body": f"<p>{text} " + "w " * 30} | change
    out = tmp_path / "out"
    report = curate([write(questions)], out, CurationOptions(pii=FORMS, max_bad=0.5))
    for path in out.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert report.pii["counts"]["EMAIL_ADDRESS"] == 4
    assert _rejected(out)["1001"]["title"] == "Ask <EMAIL_ADDRESS> about it"


def test_bad_rows_within_the_limit_are_quarantined(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    bad = [b'{"question_title": "caf\xe9"}', b'{"tags": ["a"]}', json.dumps(questions[0]).encode()[:50]]
    path = write([bad[0], *questions, bad[1], bad[2]])
    out = tmp_path / "out"
    report = curate([path], out, CurationOptions(pii=FORMS, max_bad=0.05))
    assert sum(report.splits.values()) == 80
    refused = [row for row in _rows(out / "rejected.jsonl") if row["step"] == "read"]
    assert [(row["file"], row["line"], row["field"]) for row in refused] == [
        ("questions.jsonl", 1, "question_title"),
        ("questions.jsonl", 82, "question_title"),
        ("questions.jsonl", 83, None),
    ]
    assert sum(report.bad_rows.values()) == 3
    skipped = curate([path], out, CurationOptions(pii=FORMS, max_bad=0.05, on_bad_row="skip"))
    assert skipped.splits == report.splits
    assert _rows(out / "rejected.jsonl") == []


def test_too_many_bad_rows_fail_and_are_listed(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path = write([*questions, b"{", b"["])
    with pytest.raises(DataError) as caught:
        curate([path], tmp_path / "out", PLAIN)
    # The place is the first row's, and so is what stands behind it.
    assert re.match(rf"{path}:81:2: is not [^.]+\. In all, 2 of 82 rows", caught.value.message)
    assert (caught.value.line, caught.value.column) == (81, 2)
    listed = [(row["line"], row["column"]) for row in _rows(tmp_path / "out" / "rejected.jsonl")]
    assert listed == [(81, 2), (82, 2)]
    assert not (tmp_path / "out" / "training").exists()
    assert not (tmp_path / "out" / ".curation").exists()


def test_reasons_beyond_the_three_most_frequent_are_counted(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    wrong = [questions[0] | {"tags": [1]}, questions[0] | {"tags": [2]}]
    path = write([*questions, *wrong, b"{", b'["x"]', b"null", b'"x"'])
    with pytest.raises(DataError) as caught:
        curate([path], tmp_path / "out", PLAIN)
    assert "2 × tags: must contain strings only, not a number" in caught.value.message
    assert "2 × other reasons)" in caught.value.message


def test_one_bad_row_fails_if_none_is_allowed(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path = write([*questions, questions[0] | {"tags": "two words"}])
    with pytest.raises(DataError) as caught:
        curate([path], tmp_path / "out", CurationOptions(on_bad_row="fail"))
    assert (caught.value.line, caught.value.field) == (81, "tags")


def test_nothing_left_is_an_error_with_the_reasons(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    rows = [row | {"score": -1} for row in questions[:3]]
    with pytest.raises(DataError, match="3 at votes"):
        curate([write(rows)], tmp_path / "out", PLAIN)
    assert len(_rows(tmp_path / "out" / "rejected.jsonl")) == 3


def test_a_test_file_replaces_the_test_split_and_its_duplicates_are_removed(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    held_out = [questions[0] | {"question_id": 1, "score": -3}, questions[1] | {"question_id": 2}]
    held_out[1]["question_body"] = held_out[1]["question_body"].replace("My question", "The question")
    held_out.append(questions[2] | {"question_id": 3, "question_title": "New?", "question_body": "short"})
    held_out.append(held_out[0] | {"question_id": 4})
    out = tmp_path / "out"
    plain = curate([write(questions)], tmp_path / "plain", PLAIN)
    report = curate([write(questions)], out, PLAIN, test=write(held_out, "held-out.jsonl"))
    assert report.splits["testing"] == 4
    assert [row["id"] for row in _rows(out / "questions" / "testing.jsonl")] == ["1", "2", "3", "4"]
    assert {row["id"] for row in _rows(out / "rejected.jsonl")} == {"1000", "1001"}
    assert _rejected(out)["1000"]["step"] == "test_overlap"
    assert sum(report.splits.values()) == 82
    assert sum(plain.splits.values()) == 80
    before, after = _questions(tmp_path / "plain"), _questions(out)
    kept = [id_ for id_, row in before.items() if row["part"] == "validation" and id_ in after]
    assert kept
    assert all(after[id_]["part"] == "validation" for id_ in kept)


def test_duplicates_that_may_stay_are_in_one_part_only(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    twins = [
        row | {"question_id": row["question_id"] + 1000, "question_title": f"{row['question_title']} Really"}
        for row in questions
    ]
    options = CurationOptions(
        pii=FORMS, duplicates=DuplicateOptions(exact=False, near=False), split=SplitOptions(0.5, 0.25, 0.25)
    )
    out = tmp_path / "out"
    report = curate([write([*questions, *twins])], out, options)
    found = _questions(out)
    pairs = [(found.get(str(1000 + number)), found.get(str(2000 + number))) for number in range(80)]
    both = [(one["part"], other["part"]) for one, other in pairs if one and other]
    assert both
    assert all(one == other for one, other in both)
    assert report.duplicates["leakage"] == 160 - len(found) > 0


def test_rows_stay_in_their_part_when_others_come(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    curate([write(questions[:60])], tmp_path / "few", PLAIN)
    curate([write(questions[::-1])], tmp_path / "all", PLAIN)
    few, everything = _questions(tmp_path / "few"), _questions(tmp_path / "all")
    assert {id_: row["part"] for id_, row in few.items()}.items() <= {
        id_: row["part"] for id_, row in everything.items()
    }.items()


def test_titles_alone_are_curated_and_skipped_filters_are_named(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    rows = [{"title": row["question_title"], "tags": row["tags"], "body_html": None} for row in questions]
    report = curate([write(rows)], tmp_path / "out", PLAIN)
    assert sum(report.splits.values()) == 80
    notes = {step.name: step.note for step in report.steps if step.note}
    assert notes == {
        "word_count": "skipped: the source has no bodies",
        "votes": "skipped: the source has no votes",
        "repeated_ngrams": "skipped: the source has no bodies",
    }
    assert all(row["body"] is None for row in _questions(tmp_path / "out").values())


def test_questions_without_an_answer_leave_only_if_asked(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    questions[0]["answers"] = []
    path = write(questions)
    assert sum(curate([path], tmp_path / "out", PLAIN).splits.values()) == 80
    asked = CurationOptions(pii=FORMS, filters=FilterOptions(require_answer=True))
    assert sum(curate([path], tmp_path / "out", asked).splits.values()) == 79
    assert _rejected(tmp_path / "out")["1000"]["reason"] == "no answer"


def test_chat_rows_and_a_shortlist_by_models_that_did_not_see_the_row(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    options = CurationOptions(pii=FORMS, format="messages", style=PromptStyle(shortlist=2, task="Tag."))
    report = curate([write(questions)], tmp_path / "out", options)
    for part in PARTS:
        for row in _rows(tmp_path / "out" / part / f"{part}.jsonl"):
            user, assistant = row["messages"]
            assert (user["role"], assistant["role"]) == ("user", "assistant")
            (line,) = [line for line in user["content"].split("\n") if line.startswith("Candidate tags: ")]
            assert len(line.removeprefix("Candidate tags: ").split(", ")) == 2
    assert report.prompts["rows"] == 80


def test_prompts_that_had_to_be_cut_are_counted(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    options = CurationOptions(pii=FORMS, style=PromptStyle(max_tokens=40))
    report = curate(
        [write(questions)], tmp_path / "out", options, count_tokens=lambda text: len(text.split())
    )
    assert report.prompts["cut_share"] == 1
    assert report.prompts["longest_tokens"] <= 40
    assert not report.prompts["tokens_are_estimates"]


def test_names_are_masked_by_the_model_that_is_recorded(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    from lawtags_client.curation.mask.models import find_model
    from lawtags_client.errors import ConfigurationError

    try:
        _, name = find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    questions[0]["question_body"] = (
        "<p>My landlord Quentin Abernathy keeps my deposit, as in Roe v. Wade, and I live in Texas. "
        + "What can I do about it before the end of the month?</p>"
    )
    report = curate([write(questions)], tmp_path / "out", CurationOptions())
    body = _questions(tmp_path / "out")["1000"]["body"]
    assert body.startswith("My landlord <PERSON> keeps my deposit, as in Roe v. Wade, and I live in Texas.")
    assert report.pii["model"] == report.versions["pii-model"] == name


def test_other_options_leave_nothing_of_the_last_curation(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    curate([write(questions)], out, PLAIN)
    curate([write(questions)], out, CurationOptions(pii=FORMS, split=SplitOptions(0.9, 0.1, 0)))
    assert not (out / "testing" / "testing.jsonl").exists()
    assert not (out / "questions" / "testing.jsonl").exists()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_a_killed_curation_has_printed_nothing_and_goes_on_where_it_stopped(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path, out = write(questions), tmp_path / "out"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom lawtags_client.curation import *\n"
        "def slow(p):\n"
        "    if p.step == 'cleaning' and p.done >= 40: print('half', flush=True); time.sleep(60)\n"
        "options = CurationOptions(pii=PiiOptions(entities=('EMAIL_ADDRESS', 'URL', 'PHONE_NUMBER')))\n"
        "curate([sys.argv[1]], Path(sys.argv[2]), options, partition_rows=20, on_progress=slow)\n"
    )
    command = [sys.executable, "-c", script, path, out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        assert process.communicate() == (b"", b"")
    done = sorted((out / ".curation").glob("*/done/*.json"))
    assert len(done) == 2
    written = [path.stat().st_mtime_ns for path in done]
    assert not (out / "training").exists()
    seen: list[CurationProgress] = []

    def follow(progress: CurationProgress) -> None:
        seen.append(progress)
        if progress.step == "duplicates and split":
            assert [path.stat().st_mtime_ns for path in done] == written

    curate([path], out, PLAIN, partition_rows=20, on_progress=follow)
    assert "reading" not in {progress.step for progress in seen}
    curate([path], tmp_path / "unbroken", PLAIN, partition_rows=20)
    assert _files(out) == _files(tmp_path / "unbroken")


def test_imports_are_light_and_one_process_needs_neither_dask_nor_nemo_curator(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    code = (
        "import sys, lawtags_client.curation as c; options = c.CurationOptions(pii=c.PiiOptions(('URL',)))\n"
        "names, cluster = ('mask.cues', 'mask.people'), ('dask', 'nemo_curator', 'torch')\n"
        "heavy = ('pandas', 'spacy', 'numpy', *cluster, *(f'lawtags_client.curation.{n}' for n in names))\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "from pathlib import Path\n"
        "c.curate([sys.argv[1]], Path(sys.argv[2]), options, partition_rows=20)\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, write(questions), tmp_path / "out"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert shown == "[]\n['pandas', 'numpy']\n"


def test_without_nemo_curator_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'nemo_curator' else find(name, *a)\n"
        "from pathlib import Path\nfrom lawtags_client.curation import *\n"
        "from lawtags_client.errors import MissingExtraError\n"
        "try: curate(['x'], Path('y'), CurationOptions())\n"
        "except MissingExtraError as e: print(e.extra, e.hint)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=tmp_path
    ).stdout
    assert shown.startswith("curate ")
    assert "lawtags[curate]" in shown
