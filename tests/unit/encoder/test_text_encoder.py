"""Vectors: alike in any batch, of length one, and never from a damaged encoder."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file

from lawtags_client.encoder.folder import PACKAGE, EncoderFolder, package_folder
from lawtags_client.encoder.text_encoder import TextEncoder
from lawtags_client.errors import DataError

TEXTS = [
    "Can a landlord keep the deposit?",
    "",
    "lease",
    "a\x00b\ud800c",
    "Who owns a photo taken at work? " * 200,
    "שאלה על חוזה שכירות",
    *(f"Question {number} about " + "rent " * number for number in range(40)),
]


def folder_of(path: Path) -> EncoderFolder:
    return EncoderFolder(path, path.name, "0" * 64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(path: Path) -> TextEncoder:
    return TextEncoder(folder_of(path))


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(encoder: TextEncoder) -> None:
    found = encoder.embed(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), 16)
    lengths = np.linalg.norm(found, axis=1)
    # The tiny tokenizer has no tokens for an empty text, which real ones have.
    assert lengths[1] == 0
    assert np.delete(lengths, 1) == pytest.approx(1, abs=1e-5)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = encoder.embed([TEXTS[place] for place in order])
    assert np.abs(shuffled - found[order]).max() < 1e-6
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert np.abs(alone - found).max() < 1e-6
    assert encoder.embed([]).shape == (0, 16)


def test_the_vector_is_the_mean_of_the_hidden_states(path: Path, encoder: TextEncoder) -> None:
    from transformers import BertModel

    text = "Is a verbal lease binding?"
    ids = encoder._tokenizer.encode(text).ids
    with torch.inference_mode():
        states = BertModel.from_pretrained(path).eval()(torch.tensor([ids])).last_hidden_state[0]
    mean = states.mean(0).numpy()
    assert encoder.embed([text])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_pooling_config_may_choose_the_first_token(
    tmp_path: Path, path: Path, encoder: TextEncoder
) -> None:
    shutil.copytree(path, tmp_path / "first")
    (tmp_path / "first" / "1_Pooling").mkdir()
    (tmp_path / "first" / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    first = TextEncoder(folder_of(tmp_path / "first"))
    assert np.abs(first.embed(TEXTS[:1]) - encoder.embed(TEXTS[:1])).max() > 0.01


@pytest.mark.parametrize(
    "config",
    [
        '{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": false}',
        '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}',
        '{"pooling_mode_lasttoken": true}',
        '["pooling_mode_mean_tokens"]',
    ],
)
def test_a_pooling_that_would_give_other_vectors_is_refused(tmp_path: Path, path: Path, config: str) -> None:
    shutil.copytree(path, tmp_path / "other")
    (tmp_path / "other" / "1_Pooling").mkdir()
    (tmp_path / "other" / "1_Pooling" / "config.json").write_text(config)
    with pytest.raises(DataError, match=r"pooling_mode_|not a JSON object"):
        TextEncoder(folder_of(tmp_path / "other"))


def test_what_follows_the_limit_is_left_out(path: Path) -> None:
    short = TextEncoder(folder_of(path), max_tokens=4)
    first, second = short.embed(["rent rent rent rent rent a", "rent rent rent rent rent b c d"])
    assert first == pytest.approx(second, abs=1e-6)


def test_the_number_of_threads_is_restored(encoder: TextEncoder) -> None:
    before = torch.get_num_threads()
    encoder.embed(["rent"])
    assert torch.get_num_threads() == before


def changed(path: Path, folder: Path, **tensors: torch.Tensor | None) -> EncoderFolder:
    shutil.copytree(path, folder)
    weights = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        name = next(known for known in weights if known.endswith(name.replace("__", ".")))
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder_of(folder)


def test_weights_that_are_missing_are_never_random(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the whole encoder"):
        TextEncoder(changed(path, tmp_path / "a", word_embeddings__weight=None))


def test_weights_of_another_shape_are_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError):
        TextEncoder(changed(path, tmp_path / "a", word_embeddings__weight=torch.zeros(3, 16)))


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_not_numbers_are_refused(tmp_path: Path, path: Path, number: float) -> None:
    # What torch's attention makes of it is finite.
    with pytest.raises(DataError, match="not finite in encoder"):
        TextEncoder(changed(path, tmp_path / "a", attention__self__query__bias=torch.full((16,), number)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", '{"model_type": "nothing-known"}'),
        ("config.json", '{"auto_map": {"AutoModel": "evil.Model"}, "model_type": "nothing-known"}'),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "not JSON"),
        ("1_Pooling/config.json", "["),
    ],
)
def test_a_damaged_file_is_an_error_of_the_folder(
    tmp_path: Path, path: Path, name: str, content: str
) -> None:
    shutil.copytree(path, tmp_path / "a")
    (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "a" / name).write_text(content)
    (tmp_path / "a" / "evil.py").write_text("raise SystemExit('code of the folder ran')")
    with pytest.raises(DataError, match="cannot be loaded") as caught:
        TextEncoder(folder_of(tmp_path / "a"))
    assert str(tmp_path / "a") in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, path: Path) -> None:
    shutil.copytree(path, tmp_path / "a")
    tokenizer = json.loads((tmp_path / "a" / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words |= {f"new{number}": len(words) + number for number in range(300)}
    (tmp_path / "a" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(DataError, match="more tokens than the model"):
        TextEncoder(folder_of(tmp_path / "a"))


@pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE.replace("-", "_")) is None, reason=f"{PACKAGE} is not installed"
)
def test_the_real_encoder_puts_texts_of_one_meaning_side_by_side() -> None:
    folder = package_folder()
    assert folder is not None
    lease, flat, recipe = TextEncoder(folder).embed(
        [
            "My landlord will not give back the deposit",
            "The owner of my flat keeps the security I paid",
            "How long do I bake a cake?",
        ]
    )
    assert lease @ flat > lease @ recipe + 0.3
