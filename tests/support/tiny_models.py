"""Tiny randomly initialized models with a tiny tokenizer: real architectures, no download."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

TEXTS = (
    "Title: Can pricing be trademarked? Tags: trademark, united-states",
    "Title: Is a verbal lease binding? Tags: landlord, contract-law",
    "Title: Who owns a photo taken at work? Tags: copyright, employment",
    "user assistant system question answer law legal court",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ARCHITECTURES = ("llama", "gemma2", "qwen2")


def make_model(
    folder: Path, architecture: str = "llama", *, layers: int = 2, seed: int = 0, texts: Iterable[str] = TEXTS
) -> Path:
    """Write a model of a known architecture with random weights, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    vocabulary = make_tokenizer(folder, texts)
    settings = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    if architecture == "gemma2":
        # Caps low enough to affect the logits even of a random model.
        settings |= {"final_logit_softcapping": 3.0, "attn_logit_softcapping": 1.0, "sliding_window": 16}
    torch.manual_seed(seed)
    config = AutoConfig.for_model(architecture, **settings)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path, *, seed: int = 0, **settings: object) -> Path:
    """Write a LoRA adapter with random factors, in the PEFT format."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(task_type="CAUSAL_LM", **({"target_modules": "all-linear", "r": 4} | settings))
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # initially zero, which would have no effect
                weight.normal_(0, 0.5)
    model.save_pretrained(folder)
    return folder


def make_tokenizer(folder: Path, texts: Iterable[str] = TEXTS) -> int:
    """Write a byte-level BPE tokenizer trained on a few lines, and return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|system|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")
    size: int = tokenizer.get_vocab_size()
    return size


def make_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny BERT with random weights, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    vocabulary = make_tokenizer(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def write_rows(path: Path, count: int, *, start: int = 0) -> None:
    """Write completion rows that a tiny model can learn: the tag follows from the title's last word."""
    _write(path, (_row(number) for number in range(start, start + count)))


def write_pairs(path: Path, count: int, *, start: int = 0) -> None:
    """Write preference rows: the correct tag, and one for another title."""
    rows = (
        _row(number) | {"rejected_response": _row(number + 1)["completion"]}
        for number in range(start, start + count)
    )
    _write(path, (row | {"chosen_response": row.pop("completion")} for row in rows))


def _row(number: int) -> dict[str, str]:
    subjects = {"lease": "landlord, contract-law", "photo": "copyright", "price": "trademark"}
    subject = list(subjects)[number % len(subjects)]
    padding = "law " * (number % 4)
    return {"prompt": f"Title: {padding}{number} {subject}\nTags:", "completion": subjects[subject]}


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
