"""The model in training: loading, adapter, and saving the result."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.engines.base_weights import check_folder, check_loaded, check_weight_files
from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.training.lora import adapter_modules

if TYPE_CHECKING:
    import torch

    from lawtags_stack.engines.training.job import TrainingJob

CHAT_TEMPLATE = "chat_template.jinja"
# Padded tokens per forward pass: more would not speed up a CPU, and fewer would leave a GPU idle.
_CPU_TOKENS = 512
_GPU_TOKENS = 4096
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    CHAT_TEMPLATE,
    "generation_config.json",
)


class TrainableModel:
    """A causal language model and its trained parameters.

    Args:
        job: names the model folder and the method.
        padding: the padding token.
        compute: device and precision; None uses the CPU.

    Raises:
        MissingExtraError: transformers or peft is not installed.
        ConfigurationError: the folder contains no usable model, or no module matches ``target_modules``.
    """

    def __init__(self, job: TrainingJob, *, padding: int, compute: Compute | None = None) -> None:
        import torch

        from lawtags_client.products import use_onednn

        self.job = job
        self.padding = padding
        self.compute = compute or Compute.choose("cpu")
        self.tokens_per_micro_batch = job.tokens_per_micro_batch or (
            _CPU_TOKENS if self.compute.on_cpu else _GPU_TOKENS
        )
        self.warnings: list[str] = []
        base = self._load(Path(job.model))
        torch.manual_seed(job.seed)
        # Moved after initialization, so a seed gives the same adapter on every device.
        module = base if job.method == "all_weights" else self._with_adapter(base)
        self.module = module.to(self.compute.device)
        use_onednn(self.module)

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The trained parameters by name, in a fixed order."""
        return {name: value for name, value in self.module.named_parameters() if value.requires_grad}

    def load_trainable(self, weights: dict[str, torch.Tensor]) -> None:
        """Load saved values into the trained parameters."""
        import torch

        with torch.no_grad():
            for name, parameter in self.trainable().items():
                parameter.copy_(weights[name])

    def save(self, folder: Path) -> None:
        """Save the result: a PEFT adapter, or a whole Hugging Face folder for merged and full training."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.job.method == "lora":
            self._save_adapter(folder)
        else:
            self._save_whole(folder)
        # Overrides the base model's own template, so that prompts in inference match those of the training.
        if self.job.chat_template:
            atomic_write_text(folder / CHAT_TEMPLATE, self.job.chat_template)

    def _save_whole(self, folder: Path) -> None:
        whole = self.module.merge_and_unload() if self.job.method == "lora_merged" else self.module
        whole.to("cpu", self._stored_type).save_pretrained(folder, safe_serialization=True)
        for name in _TOKENIZER_FILES:
            source = Path(self.job.model) / name
            if source.is_file():
                shutil.copyfile(source, folder / name)

    def _load(self, folder: Path) -> Any:
        import torch

        try:
            from transformers import AutoConfig, AutoModelForCausalLM
        except ImportError as error:
            raise MissingExtraError("transformers", "local", "Training") from error
        check_weight_files(folder)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigurationError(f"the model cannot be loaded: {said}") from error
        self._stored_type = config.dtype or torch.float32
        self._set_dropout(config)
        # Only eager attention applies the soft cap of Gemma 2's scores.
        capped = getattr(config, "attn_logit_softcapping", None) is not None
        # Even if products are computed in bf16: small updates would be lost in bf16 weights.
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            output_loading_info=True,
            dtype=torch.float32,
            attn_implementation="eager" if capped else "sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        check_loaded(info)
        return model

    def _set_dropout(self, config: object) -> None:
        names = {
            "attention_dropout": ("attention_dropout",),
            "hidden_dropout": ("hidden_dropout", "resid_pdrop"),
        }
        for setting, attributes in names.items():
            value = getattr(self.job, setting)
            if value is None:
                continue
            known = [name for name in attributes if hasattr(config, name)]
            for name in known:
                setattr(config, name, value)
            if not known:
                self.warnings.append(f"the base model has no {setting}; the setting is ignored")

    def _with_adapter(self, base: Any) -> Any:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtraError("peft", "local", "Training an adapter") from error
        lora = self.job.lora
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=adapter_modules(base, lora.target_modules, self.job.excluded_modules),
        )
        with warnings.catch_warnings():
            # peft reads an attribute that transformers deprecates; the user can do nothing about it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            return get_peft_model(base, config)

    def _save_adapter(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        # "auto" would look up the base model on the Hugging Face Hub.
        weights = get_peft_model_state_dict(self.module, save_embedding_layers=False)
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self.module.peft_config["default"].to_dict()
        config |= {"base_model_name_or_path": self.job.model_name, "inference_mode": True}
        atomic_write_json(folder / "adapter_config.json", _as_json(config))


def load_tokenizer(folder: Path, chat_template: str | None = None) -> FastTokenizer:
    """Load the fast tokenizer of a model folder, optionally with another chat template.

    Raises:
        MissingExtraError: transformers is not installed.
        ConfigurationError: the folder has no fast tokenizer.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "local", "Training") from error
    check_folder(folder)
    try:
        tokenizer: FastTokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the tokenizer in {folder} cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ConfigurationError(f"{folder} has no tokenizer.json")
    if chat_template:
        tokenizer.chat_template = chat_template
    # Long rows are truncated and counted by the encoder; the tokenizer must neither truncate nor warn.
    tokenizer.model_max_length = int(1e30)
    return tokenizer


def _as_json(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in sorted(value.items())}
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    # peft's enums are also strings; JSON needs the plain value.
    return value.value if hasattr(value, "value") else value
