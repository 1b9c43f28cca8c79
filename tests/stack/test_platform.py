"""What a run asks of a platform, on an embedded stack with a tiny model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from served_stack import ADAPTER, BASE, ServedStack, served_stack
from tiny_models import make_adapter, make_model

from lawtags_client.client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform import EvaluationIntent, ModelAnswer, PromptInput
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.settings import Settings
from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

TEXTS = [f"Title: question {number}\nTags:" for number in range(5)]
CHATS: list[PromptInput] = [({"role": "user", "content": text},) for text in TEXTS]
TOO_LONG = "law " * 2000
VOCABULARY = Vocabulary.from_questions(
    [Question(id="1", title="x", body=None, tags=("landlord", "copyright", "contract-law"))]
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStack]:
    folder = tmp_path_factory.mktemp("platform")
    base = make_model(folder / "base")
    with served_stack(folder / "stack", base, make_adapter(folder / "adapter", base)) as served:
        yield served


@pytest.fixture
async def nemo(stack: ServedStack, tmp_path: Path) -> AsyncIterator[NeMo]:
    settings = Settings(
        platform_url=stack.thread.platform_url,
        data_store_url=stack.thread.data_store_url,
        inference_url=stack.thread.inference_url,
    )
    async with NeMo(settings, intents=SqliteIntents(tmp_path / "intents.sqlite")) as made:
        yield made


async def test_the_seeded_config_says_what_can_be_trained(nemo: NeMo) -> None:
    found = await V1Platform(nemo).config(f"{BASE}@v1.0.0+cpu")
    assert found.base_model == BASE
    assert found.max_seq_length == 512
    assert ("sft", "lora") in found.methods
    assert (found.num_parameters or 0) > 1000


@pytest.mark.parametrize("prompts", [TEXTS, CHATS], ids=["texts", "chats"])
async def test_each_prompt_has_its_likeliest_first_tokens(nemo: NeMo, prompts: Sequence[PromptInput]) -> None:
    found = dict([one async for one in V1Platform(nemo).first_tokens(ADAPTER, prompts, top=20)])
    assert sorted(found) == list(range(5))
    for tokens in found.values():
        assert not isinstance(tokens, Exception)
        assert len(tokens) == 20
        assert all(value <= 0 for value in tokens.values())


@pytest.mark.parametrize("prompts", [TEXTS, CHATS], ids=["texts", "chats"])
async def test_answers_are_held_to_the_vocabulary(nemo: NeMo, prompts: Sequence[PromptInput]) -> None:
    asked = V1Platform(nemo).answers(ADAPTER, prompts, vocabulary=VOCABULARY, most=2, max_tokens=64)
    found = dict([one async for one in asked])
    assert sorted(found) == list(range(5))
    for answer in found.values():
        assert isinstance(answer, ModelAnswer)
        parsed = parse_tags(answer.text, VOCABULARY)
        assert parsed.tags, answer
        assert answer.held is True
        assert not parsed.unknown


@pytest.mark.parametrize("kind", ["texts", "chats"])
async def test_a_prompt_that_is_refused_hurts_no_other(nemo: NeMo, kind: str) -> None:
    bad: PromptInput = TOO_LONG if kind == "texts" else ({"role": "user", "content": TOO_LONG},)
    good = list(TEXTS if kind == "texts" else CHATS)
    prompts = [*good[:2], bad, *good[2:]]
    platform = V1Platform(nemo)
    tokens = dict([one async for one in platform.first_tokens(BASE, prompts, top=5)])
    asked = platform.answers(BASE, prompts, vocabulary=VOCABULARY, most=5, max_tokens=16)
    answers = dict([one async for one in asked])
    for found in (tokens, answers):
        assert sorted(found) == list(range(6))
        assert [row for row, value in found.items() if isinstance(value, LawtagsError)] == [2]


async def test_one_wish_for_an_evaluation_is_one_job(nemo: NeMo, stack: ServedStack, tmp_path: Path) -> None:
    rows = [{"prompt": text, "completion": "landlord"} for text in TEXTS]
    for part in ("training", "validation", "testing"):
        path = tmp_path / "curated" / part / f"{part}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    platform = V1Platform(nemo)
    uploaded = await platform.upload("tests/rows", tmp_path / "curated")
    files = f"{uploaded.files_url}/testing/testing.jsonl"
    wish = EvaluationIntent("one wish", ADAPTER, files, "tests", limit=3, max_tokens=4)
    first = await platform.evaluate(wish, timeout=60)
    again = await platform.evaluate(wish, timeout=60)
    assert first.job_id == again.job_id
    assert first.scores == again.scores
    assert first.scores.keys() >= {"tags.f1", "tags.em"}
    listed = httpx.get(f"{stack.thread.platform_url}/v1/evaluation/jobs").json()["data"]
    assert [job["id"] for job in listed] == [first.job_id]


async def test_what_is_published_stands_beside_the_weights(nemo: NeMo, stack: ServedStack) -> None:
    await V1Platform(nemo).publish(ADAPTER, {"README.md": b"# card", "tagger/tagger.json": b"{}"})
    base = f"{stack.thread.data_store_url}/v1/hf/tests/tagger/resolve/main"
    assert httpx.get(f"{base}/README.md").text == "# card"
    assert httpx.get(f"{base}/adapter_config.json", follow_redirects=True).status_code == 200
