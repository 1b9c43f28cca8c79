"""Loads a model folder: safetensors only; code in the folder is never executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.engines.base_weights import check_loaded, check_weight_files
from lawtags_stack.engines.generation import attention


def load_model(folder: Path) -> tuple[Any, FastTokenizer]:
    """Load a model in fp32, and its tokenizer, for an engine.

    Args:
        folder: a Hugging Face model folder.

    Raises:
        ConfigurationError: the folder contains no model that can be loaded.
        DataError: a weights file is corrupt.
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(str(error.name), "local", "inference") from error

    check_weight_files(folder)
    attention.register()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            attn_implementation=attention.ATTENTION,
        )
    except (OSError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(
            f"the model cannot be loaded: {said}",
            hint="Use a folder with config.json, tokenizer.json and model.safetensors.",
        ) from error
    check_loaded(info)
    model.requires_grad_(False)
    return model.eval(), tokenizer


def end_tokens(model: Any, tokenizer: FastTokenizer) -> frozenset[int]:
    """The tokens that end an answer, from the tokenizer and both of the model's configurations."""
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for holder in (tokenizer, model.config, generation):
        value = getattr(holder, "eos_token_id", None)
        found.update([value] if isinstance(value, int) else value or ())
    return frozenset(found)


def slot_token_bytes(config: Any) -> int:
    """Memory per token for keys and values in fp32."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * 4 * int(config.num_hidden_layers) * int(heads) * int(size)
