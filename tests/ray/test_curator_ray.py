"""The steps in pipelines of NeMo Curator 1.x on Ray give what those of 0.9 on Dask give, to the byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from steps import COLUMNS, OPTIONS, filters, modifiers, plain

from lawtags_client.curation import curator_ray
from lawtags_client.curation.curator_ray import ModifyBatches, RecordedStage
from lawtags_client.curation.step_choice import plan_steps
from lawtags_client.errors import ConfigurationError

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "lawtags_client" / "sample" / "questions.jsonl"
MADE_UP = [
    {"title": "Is caf\u00c3\u00a9 Ltd liable?", "body": "<p>too short</p>", "score": 4},
    {"title": "Voted down", "body": "<p>" + " ".join(f"word{n}" for n in range(20)) + "</p>", "score": -3},
    {"title": "Again", "body": "<p>" + "again and again and again " * 20 + "</p>", "score": 1},
    {
        "title": "May Quentin Abernathy keep my deposit?",
        "body": "<p>My landlord Quentin Abernathy of 12 Baker Street keeps it. Write to quentin@example.com "
        "or call +1 202 555 0143. The donâ€™t-copy rule of 17 U. S. C. §107 and Roe v. Wade may matter.</p>"
        "<ul><li>one</li><li>two</li></ul>",
        "score": 9,
    },
    {"title": "No body and no votes", "body": None, "score": None},
]


def _questions() -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()[::4]]
    rows = [
        {"title": row["question_title"], "body": row["question_body"], "score": row["score"]} for row in rows
    ]
    return [
        row | {"question_id": f"q{number:04}", "tags": ["copyright", "contract-law"]}
        for number, row in enumerate([*rows, *MADE_UP])
    ]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The questions in three files, which become three batches."""
    folder, rows = tmp_path_factory.mktemp("questions"), _questions()
    paths = []
    for number in range(3):
        path = folder / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[number::3]), encoding="utf-8")
        paths.append(str(path))
    return paths


@pytest.fixture(scope="session")
def on_dask(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the other environment makes of them."""
    folder = tmp_path_factory.mktemp("dask")
    source, results = folder / "questions.jsonl", folder / "results.json"
    source.write_text("".join(json.dumps(row) + "\n" for row in _questions()), encoding="utf-8")
    # Whoever starts these tests names the Python of the other environment; without it they cannot be run.
    other = os.environ["LAWTAGS_PYTHON_OF_CURATOR_0_9"]
    subprocess.run([other, HERE / "on_dask.py", source, results], check=True, cwd=HERE)
    found: dict[str, Any] = json.loads(results.read_text("utf-8"))
    assert found["version"].startswith("0.9.")
    return found


@pytest.fixture(scope="session", params=["in this process", "on Ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What runs the stages; Ray has two processors, which is too few for Curator's default executor."""
    if request.param == "in this process":
        yield InProcess()
        return
    from nemo_curator.backends.ray_data import RayDataExecutor

    with _ray_cluster() as address:
        # The executor connects to it, and disconnects after each pipeline.
        os.environ["RAY_ADDRESS"] = address
        yield RayDataExecutor()


class InProcess:
    """Curator's stages one after the other, for machines on which Ray does not start."""

    def execute(self, stages: list[Any], initial_tasks: list[Any] | None = None) -> list[Any]:
        from nemo_curator.tasks import EmptyTask

        tasks = initial_tasks or [EmptyTask()]
        for stage in stages:
            stage.setup_on_node()
            stage.setup()
            made = [stage.process(task) for task in tasks]
            tasks = [task for each in made for task in (each if isinstance(each, list) else [each])]
            stage.teardown()
        return tasks


@contextmanager
def _ray_cluster() -> Iterator[str]:
    """A cluster of one node; ``ray start`` gives its node only 30 s, which a busy machine exceeds."""
    for attempt in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus", "2"]
        command += ["--node-ip-address", "127.0.0.1", "--port", address.rpartition(":")[2]]
        command += ["--include-dashboard", "false", "--disable-usage-stats"]
        with subprocess.Popen(command) as process:
            try:
                if _answers(address, process):
                    yield address
                    return
            finally:
                process.terminate()
        print(f"ray start ended with {process.returncode}, attempt {attempt + 1}")
    pytest.skip("Ray did not start on this machine; the same stages were tested in one process")


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    import ray

    while process.poll() is None:
        try:
            ray.init(address=address)
        except (ConnectionError, RuntimeError):
            time.sleep(1)
        else:
            ray.shutdown()
            return True
    return False


def _run(executor: Any, files: list[str], *stages: Any) -> Any:
    import pandas
    from nemo_curator.pipeline import Pipeline
    from nemo_curator.stages.text.io.reader import JsonlReader

    reader = JsonlReader(files, files_per_partition=1)
    batches = Pipeline("questions", stages=[reader, *stages]).run(executor)
    return batches, pandas.concat([batch.to_pandas() for batch in batches])


def test_modifiers_in_modules_of_curator_change_texts_as_on_dask(
    executor: Any, files: list[str], on_dask: dict[str, Any]
) -> None:
    from nemo_curator.stages.text.modifiers import Modify

    stages = [Modify(modifier, input_fields=field) for field, modifier in modifiers(curator_ray)]
    _, frame = _run(executor, files, *stages)
    columns = ("question_id", "title", "body")
    assert [{name: row[name] for name in columns} for row in plain(frame)] == on_dask["modified"]
    masked = next(row for row in on_dask["modified"] if row["title"].startswith("May <PERSON>"))
    assert "Abernathy" not in masked["body"]
    assert "Roe v. Wade" in masked["body"]


def test_modifiers_of_whole_batches_change_texts_as_on_dask(
    executor: Any, files: list[str], on_dask: dict[str, Any]
) -> None:
    stages = [ModifyBatches(modifier, field) for field, modifier in modifiers(curator_ray)]
    _, frame = _run(executor, files, *stages)
    columns = ("question_id", "title", "body")
    assert [{name: row[name] for name in columns} for row in plain(frame)] == on_dask["modified"]


def test_filters_in_modules_of_curator_keep_the_same_questions(
    executor: Any, files: list[str], on_dask: dict[str, Any]
) -> None:
    from nemo_curator.stages.text.filters import ScoreFilter

    stages = [ScoreFilter(one, text_field=field) for field, one in filters(curator_ray)]
    _, frame = _run(executor, files, *stages)
    kept = [row["question_id"] for row in plain(frame)]
    assert kept == on_dask["kept"]
    assert 0 < len(kept) < len(_questions())


def test_the_steps_of_a_curation_mark_and_change_rows_as_on_dask(
    executor: Any, files: list[str], on_dask: dict[str, Any]
) -> None:
    steps = plan_steps(OPTIONS)
    batches, frame = _run(executor, files, RecordedStage(*steps))
    assert [{name: row[name] for name in COLUMNS} for row in plain(frame)] == on_dask["recorded"]
    assert {row["rejected_by"] for row in on_dask["recorded"]} >= {
        "",
        "word_count",
        "votes",
        "repeated_ngrams",
    }
    told = [batch._metadata["steps"] for batch in batches]
    assert [[step["name"] for step in of_batch] for of_batch in told] == [[step.name for step in steps]] * 3
    assert sum(of_batch[0]["rows_in"] for of_batch in told) == len(_questions())


def test_the_adapter_for_the_other_curator_says_which_one_to_take() -> None:
    with pytest.raises(ConfigurationError, match=r"needs NeMo Curator 0\.9") as caught:
        import lawtags_client.curation.curator  # noqa: F401
    assert "curator_ray" in str(caught.value.hint)
