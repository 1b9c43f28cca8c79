"""Loads a converted Llama with Megatron Core on a CPU, and compares its logits with those of transformers.

Run it in an environment with torch, megatron-core, safetensors and transformers:

    lawtags models convert llama llama-nemo2 --to nemo2
    python scripts/checkpoints/megatron_logits.py llama llama-nemo2
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import torch
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.validation import StrictHandling
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.tensor_parallel import random as parallel_random
from megatron.core.transformer.transformer_config import TransformerConfig
from transformers import AutoModelForCausalLM

TOKENS = torch.tensor([[5, 17, 301, 44, 8, 250]])
METADATA = {"singleton_local_shards": False, "chained_optim_avoid_prefix": True}


def main() -> None:
    hugging_face, nemo = map(Path, sys.argv[1:3])
    expected = AutoModelForCausalLM.from_pretrained(hugging_face, dtype=torch.float32)
    made = expected.config
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611"}
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    # Megatron Core asks for a GPU where it needs none.
    torch.cuda.current_device = no_gpu
    parallel_random.CudaRNGStatesTracker.fork = lambda *_: contextlib.nullcontext()
    parallel_state.initialize_model_parallel(1, 1)
    model = megatron(made)
    group = parallel_state.get_data_parallel_group(with_context_parallel=True)
    wanted = model.sharded_state_dict(prefix="module.", metadata=METADATA | {"dp_cp_group": group})
    found, _, absent = dist_checkpointing.load(
        {"state_dict": wanted}, str(nemo / "weights"), strict=StrictHandling.RETURN_ALL
    )
    state = {name.removeprefix("module."): each for name, each in found["state_dict"].items()}
    print("asked for, but not in the checkpoint:", sorted(absent) or "nothing")
    print(model.load_state_dict(state, strict=False))
    length = TOKENS.shape[1]
    mask = torch.triu(torch.ones(1, 1, length, length, dtype=torch.bool), 1)
    with torch.no_grad():
        logits = model.eval()(TOKENS, torch.arange(length)[None], mask).float()
        difference = (logits[..., : made.vocab_size] - expected(TOKENS).logits).abs().max().item()
    print("largest difference of a logit:", difference)


def no_gpu() -> Any:
    """The device in place of a GPU."""
    return "cpu"


def megatron(made: Any) -> GPTModel:
    """The model of Megatron Core without Transformer Engine."""
    config = TransformerConfig(
        num_layers=made.num_hidden_layers,
        hidden_size=made.hidden_size,
        num_attention_heads=made.num_attention_heads,
        num_query_groups=made.num_key_value_heads,
        kv_channels=made.head_dim,
        ffn_hidden_size=made.intermediate_size,
        layernorm_epsilon=made.rms_norm_eps,
        normalization="RMSNorm",
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        use_cpu_initialization=True,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        apply_rope_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
    )
    return GPTModel(
        config,
        get_gpt_layer_local_spec(normalization="RMSNorm"),
        vocab_size=made.vocab_size,
        max_sequence_length=made.max_position_embeddings,
        position_embedding_type="rope",
        rotary_base=int(made.rope_parameters["rope_theta"])
        if hasattr(made, "rope_parameters")
        else int(made.rope_theta),
        share_embeddings_and_output_weights=made.tie_word_embeddings,
        parallel_output=False,
    )


if __name__ == "__main__":
    main()
