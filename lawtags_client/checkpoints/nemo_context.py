"""The folder ``context/`` of a NeMo 2 checkpoint: what NeMo builds the model from."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from lawtags_client.checkpoints.architecture import Architecture
from lawtags_client.checkpoints.fiddle_json import Configured, ConfigValue, Importable, fiddle_json
from lawtags_client.checkpoints.nemo_configs import model_class, to_nemo_2
from lawtags_client.checkpoints.output import Output
from lawtags_client.json_value import JsonValue

COMMON: Mapping[str, object] = {
    "epoch": 0,
    "global_step": 0,
    "pytorch-lightning_version": "2.4.0",
    # How the weights of layers are keyed; NeMo reads it before it loads them.
    "content_metadata": {"singleton_local_shards": False, "chained_optim_avoid_prefix": True},
}
"""What ``common.pt`` holds beside the weights."""
_TOKENIZER = "nemo.collections.common.tokenizers.huggingface.auto_tokenizer.AutoTokenizer"


def write_context(
    output: Output,
    made: Architecture,
    *,
    multiple: int,
    transform: tuple[str, Mapping[str, JsonValue]] | None = None,
) -> None:
    """Write ``model.yaml`` for people and ``io.json`` for NeMo.

    Args:
        output: where to.
        made: the decoder.
        multiple: what the rows of the embedding are a multiple of.
        transform: class and arguments of an adapter.
    """
    config = to_nemo_2(made, multiple=multiple)
    shown: dict[str, JsonValue] = {
        "_target_": model_class(made),
        "config": config,
        "model_transform": None if transform is None else {"_target_": transform[0], **transform[1]},
        "optim": None,
        "tokenizer": {"_target_": _TOKENIZER, "pretrained_model_name": "nemo_tokenizer", "use_fast": True},
    }
    output.write("context/model.yaml", yaml.safe_dump(shown, sort_keys=False).encode())
    tokenizer = Configured(_TOKENIZER, {"pretrained_model_name": "nemo_tokenizer", "use_fast": True})
    model: dict[str, ConfigValue] = {
        "config": Configured(str(config["_target_"]), dict(_arguments(config))),
        "tokenizer": tokenizer,
    }
    if transform is not None:
        model["model_transform"] = Configured(transform[0], dict(_arguments(transform[1])))
    trainer = Configured("nemo.lightning.pytorch.trainer.Trainer", {"accelerator": "cpu", "devices": 1})
    root = Configured(
        "nemo.lightning.io.pl.TrainerContext",
        {"model": Configured(model_class(made), model), "trainer": trainer},
    )
    output.write("context/io.json", json.dumps(fiddle_json(root)).encode())


def _arguments(values: Mapping[str, JsonValue]) -> list[tuple[str, ConfigValue]]:
    return [(name, _value(name, each)) for name, each in values.items() if name != "_target_"]


def _value(name: str, value: JsonValue) -> ConfigValue:
    if isinstance(value, dict):
        return Importable(str(value["_target_"]))
    if isinstance(value, list):
        if name == "window_size":
            return tuple(each for each in value if isinstance(each, int))
        return [str(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)
