"""Bringing a base model onto the platform, with a Gemma 2 of a size for tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from client_kit import connect
from endpoint_list import Recorder
from tiny_models import make_model

from lawtags_client import AllWeights, LoRA, NeMo, tag
from lawtags_client.errors import ConfigurationError, ConflictError, DataError
from lawtags_client.services.watching import Patience
from lawtags_stack.stack import StackThread

QUICK = Patience(shortest=0.05, longest=0.2)
METHODS = [LoRA(), AllWeights()]


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("gemma") / "gemma-2-2b", "gemma2")


@pytest.mark.slow
async def test_folder_becomes_a_model_that_is_trained_and_served(
    nemo: NeMo, gemma: Path, curated: Path
) -> None:
    imported = await nemo.customizer.base_models.add(
        "imported/gemma-2-2b", gemma, max_seq_length=256, methods=METHODS
    )
    assert str(imported) == "imported/gemma-2-2b@v1.0.0+80GB"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(imported.sent)
    assert (imported.target.status, imported.target.precision) == ("ready", "fp32")
    assert (imported.target.num_parameters or 0) > 10_000
    offered = {option.finetuning_type for option in imported.config.training_options}
    assert offered == {"lora", "all_weights"}
    again = await nemo.customizer.base_models.add(
        "imported/gemma-2-2b", gemma, max_seq_length=256, methods=METHODS
    )
    assert again.sent == ()
    dataset = await nemo.data_store.upload_dataset("imported/tags", curated)
    job = await nemo.customizer.fine_tune(
        config="imported/gemma-2-2b", dataset=dataset, method=LoRA(adapter_dim=4), epochs=1, batch_size=6,
        output_model="imported/tagger",
    )  # fmt: skip
    await job.wait(patience=QUICK, timeout=120)
    await nemo.deployments.deploy("imported/gemma", model="imported/gemma-2-2b")
    model = await job.served(timeout=60)
    assert (await tag(nemo, title="Is a verbal lease binding?", model=model)).error is None


async def test_other_files_need_another_version_and_leave_the_first_alone(
    nemo: NeMo, stack: StackThread, gemma: Path, tmp_path: Path
) -> None:
    await nemo.customizer.base_models.add("google/other", gemma, max_seq_length=256)
    other = shutil.copytree(gemma, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"final_logit_softcapping": 7.0}))
    recorder = Recorder()
    async with connect(stack, tmp_path, handler=recorder) as watched:
        with pytest.raises(ConflictError, match=r"google/other@v1 already exists .* different config\.json"):
            await watched.customizer.base_models.add("google/other", other, max_seq_length=256)
    assert not any(method == "PUT" or path.endswith("/commit/main") for method, path in recorder.seen)
    second = await nemo.customizer.base_models.add(
        "google/other", other, version="v2", config_version="v2+80GB", max_seq_length=256
    )
    assert second.sent
    assert second.target.name == "other@v2"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "lacks tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "lacks"),
        (lambda folder: change(folder, quantization_config={"bits": 4}), "quantized"),
        (lambda folder: change(folder, model_type="gpt2"), "gpt2"),
    ],
    ids=["no tokenizer", "no weights", "quantized", "conv1d"],
)
async def test_folder_that_cannot_be_trained_is_refused_before_anything_is_sent(
    stack: StackThread, gemma: Path, tmp_path: Path, spoil: object, says: str
) -> None:
    folder = shutil.copytree(gemma, tmp_path / "spoilt")
    spoil(folder)  # type: ignore[operator]
    recorder = Recorder()
    async with connect(stack, tmp_path, handler=recorder) as nemo:
        with pytest.raises(DataError, match=says):
            await nemo.customizer.base_models.add("google/spoilt", folder)
    assert not any("/v1/hf" in path or "targets" in path for _, path in recorder.seen)


def change(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


async def test_snapshot_of_a_hub_is_fetched_by_the_platform(nemo: NeMo, gemma: Path) -> None:
    add = nemo.customizer.base_models.add
    with pytest.raises(ConfigurationError, match="num_parameters"):
        await add("google/fetched", "hf://imported/gemma-2-2b")
    # The stack's own Data Store stands for the hub.
    there = await add("google/hub", gemma, max_seq_length=256)
    fetched = await add(
        "google/fetched",
        "hf://google/hub_v1",
        hf_endpoint=None,
        num_parameters=there.target.num_parameters,
        max_seq_length=256,
    )
    assert (fetched.sent, fetched.target.status) == ((), "ready")


async def test_longer_rows_than_the_model_was_made_for_are_refused(nemo: NeMo, gemma: Path) -> None:
    with pytest.raises(ConfigurationError, match="context of the model is 512 tokens"):
        await nemo.customizer.base_models.add("google/long", gemma, max_seq_length=1024)
