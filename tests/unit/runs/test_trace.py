"""A row is traced from its line in the source to its score, or to the step that rejected it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_run import RECIPE
from typer.testing import CliRunner

from lawtags_client import sample
from lawtags_client.cli.app import app
from lawtags_client.curation import CurationOptions, curate
from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.trace import trace_row

pytest.importorskip("nemo_curator")

CURATION = {"pii": {"entities": ["EMAIL_ADDRESS"]}, "filters": {"min_words": 8}}
BODY = (
    "<p>My landlord &amp; I signed a lease for flat {n}; mail me{n}@example.com about clause {n} of it.</p>"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has curated, and has predictions of one system."""
    root = tmp_path_factory.mktemp("traced")
    with sample.path().open(encoding="utf-8") as stream:
        given = [json.loads(next(stream)) for _ in range(60)]
    rows = [
        {
            "id": f"q{n}",
            "title": row["question_title"],
            "body": f"<p>{row['question_body']} &amp; mail me{n}@example.com</p>",
            "tags": row["tags"],
        }
        for n, row in enumerate(given)
    ]
    rows[3]["body"] = "Too short."
    rows[5] |= {"title": rows[4]["title"], "body": rows[4]["body"]}
    data = root / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"id": "broken"}\n')
    folder = root / "runs" / "one"
    curation = CURATION | {"on_bad_row": "quarantine", "max_bad": 0.1}
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.set_facts(
        {
            "run_id": "0123456789ab",
            "recipe": parse_recipe(RECIPE | {"curation": curation}).record(),
            "data": [str(data)],
        }
    )
    curate([data], folder / "curated", CurationOptions.from_dict(curation), workers=1)
    lines = (folder / "curated" / "questions" / "testing.jsonl").read_text().splitlines()
    tagged = [prediction(n, json.loads(line)["id"], ["lease"]) for n, line in enumerate(lines)]
    write_predictions(folder, "tfidf", tagged)
    return folder


def test_a_test_row_is_traced_to_its_score(run: Path) -> None:
    first = json.loads((run / "curated" / "questions" / "testing.jsonl").read_text().splitlines()[0])
    found = trace_row(run, first["id"])
    assert (found.file, found.line) == ("data.jsonl", int(first["id"][1:]) + 1)
    assert (found.part, found.row, found.source, found.not_replayed) == ("testing", 0, "same", None)
    effects = {step.step: step.effect for step in found.steps}
    assert effects["html"].startswith("body ") and effects["pii"].startswith("body ")
    assert effects["word_count"] == "no change"
    assert found.prompt is not None and found.title is not None and found.title in found.prompt
    assert found.tags == tuple(first["tags"])
    assert [(each.system, each.tags, each.f1) for each in found.answers] == [("tfidf", ("lease",), 0.0)]
    assert trace_row(run, f"data.jsonl:{found.line}") == found


def test_rejected_rows_are_traced_to_the_step_that_rejected_them(run: Path) -> None:
    short = trace_row(run, "q3")
    assert short.outcome.startswith("rejected by word_count")
    assert short.steps[-1].effect.startswith("rejected: ")
    twin = trace_row(run, "data.jsonl:6")
    assert "exact_duplicates" in twin.outcome and "q4 stays instead, data.jsonl:5" in twin.outcome
    broken = trace_row(run, "data.jsonl:61")
    assert (broken.id, len(broken.steps)) == (None, 1)
    assert "title" in broken.steps[0].effect


def test_a_row_is_found_by_the_path_of_its_source_and_by_its_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trace_row(run, "data.jsonl:7")
    root = run.parent.parent
    monkeypatch.chdir(run)
    for wanted in (f"{root}/data.jsonl:7", "../../data.jsonl:7", f"{root}/runs/../data.jsonl:7", "7"):
        assert trace_row(run, wanted) == found
    unknown = ("other/data.jsonl:7", "999", "0", "-7", "7:", "data.jsonl:7:", "\x00:7", f"{'x' * 5000}:7")
    for wanted in unknown:
        with pytest.raises(ConfigurationError, match="has no row") as caught:
            trace_row(run, wanted)
        assert "Files: data.jsonl." in str(caught.value.hint)


def test_an_unclear_or_unknown_row_is_refused(run: Path) -> None:
    with pytest.raises(ConfigurationError, match="rows begin with 'q'"):
        trace_row(run, "q")
    with pytest.raises(ConfigurationError, match=r"no row 'data\.jsonl:99'"):
        trace_row(run, "data.jsonl:99")


def test_a_curation_that_left_no_rows_is_not_said_to_be_unfinished(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "none"
    (folder / "curated").mkdir(parents=True)
    Ledger(folder / "ledger.sqlite").set_facts({"run_id": "0123456789ab", "data": ["q.jsonl"]})
    row = {"id": "1", "file": "q.jsonl", "line": 3, "stage": "word_count"}
    (folder / "curated" / "rejected.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigurationError, match="the curation of 'none' left no rows") as caught:
        trace_row(folder, "1")
    assert "curated/rejected.jsonl has the place of each row" in str(caught.value.hint)


def test_a_source_that_has_changed_is_not_replayed(run: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "one", "q7", "--runs", str(run.parent)])
    assert done.exit_code == 0, done.output
    assert "data.jsonl:8" in done.stdout
    assert "example.com" not in done.stdout
    data = run.parent.parent / "data.jsonl"
    kept = data.read_bytes()
    for content, state in ((kept + b"\n", "changed"), (None, "missing")):
        data.unlink()
        if content is not None:
            data.write_bytes(content)
        found = trace_row(run, "q7")
        assert found.steps == ()
        assert found.not_replayed
        assert found.source == state
    data.write_bytes(kept)
