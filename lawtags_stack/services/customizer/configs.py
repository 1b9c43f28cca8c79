"""Configs: a target with its training options, sequence length and prompt template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lawtags_client.errors import BadRequestError, ConflictError, UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.model_config import context_length, read_model_config
from lawtags_stack.base_models import DEFAULT_BASE_MODEL
from lawtags_stack.engines.device import AUTO
from lawtags_stack.entities import EntityKind, EntityTable
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import EntityPage, select
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.records import ConfigRecord
from lawtags_stack.services.customizer.targets import SEEDED_VERSION, Targets

SEEDED_CONFIG = "v1.0.0+cpu"
"""Version of the stack's built-in configs: ``namespace/name@v1.0.0+cpu``."""

DEFAULT_TEMPLATE = "{prompt} {completion}"
SORTS = ("created_at", "updated_at", "name", "target_enabled", "num_parameters")

_FIELDS = (
    "id", "name", "namespace", "created_at", "updated_at", "description", "project", "custom_fields",
    "ownership", "target", "max_seq_length", "training_options", "prompt_template",
    "chat_prompt_template", "training_precision", "dataset_schemas", "pod_spec",
)  # fmt: skip
_OPTION_DEFAULTS: JsonObject = {"num_nodes": 1, "tensor_parallel_size": 1, "use_sequence_parallel": False}
_LONGEST_SEQUENCE = 2048


class Configs:
    """All configs.

    Args:
        context: the stack.
        targets: the targets that configs refer to.
    """

    def __init__(self, context: StackContext, targets: Targets) -> None:
        kind = EntityKind(
            record=ConfigRecord,
            label="customization config",
            table="customizer_configs",
            id_prefix="config",
            fields=_FIELDS,
            defaults={"custom_fields": {}, "prompt_template": DEFAULT_TEMPLATE},
            sorts=SORTS,
        )
        self.entities = EntityTable(context.database, kind, clock=context.clock)
        self._context = context
        self._targets = targets

    def seed(self) -> None:
        """Create or update the configs of the built-in targets."""
        for base_model in (DEFAULT_BASE_MODEL, *self._context.options.base_models):
            folder = self._context.options.base_models.get(base_model)
            config = read_model_config(folder / "config.json") if folder else {}
            longest = context_length(config) or _LONGEST_SEQUENCE
            namespace, _, name = base_model.partition("/")
            option: JsonObject = {
                **_OPTION_DEFAULTS,
                "num_gpus": 0,
                "micro_batch_size": 1,
                "data_parallel_size": 1,
            }
            self.entities.put(
                {
                    "namespace": namespace,
                    "name": f"{name}@{SEEDED_CONFIG}",
                    "target": f"{base_model}@{SEEDED_VERSION}",
                    "max_seq_length": min(longest, _LONGEST_SEQUENCE),
                    "training_precision": _seeded_precision(self._context.options.device),
                    "prompt_template": DEFAULT_TEMPLATE,
                    "training_options": [
                        {**option, "training_type": training, "finetuning_type": kind}
                        for training in ("sft", "dpo")
                        for kind in ("lora", "lora_merged", "all_weights")
                    ],
                }
            )

    def create(self, fields: JsonObject) -> JsonObject:
        """Create a config.

        Raises:
            NotFoundError: its target does not exist.
            ConflictError: the name is taken.
        """
        target = fields.get("target")
        if isinstance(target, dict):
            target = self._targets.add(target).reference
        elif target is not None:
            self._targets.entities.stored(*_split(str(target)))
        options = [_completed(option) for option in _objects(fields["training_options"])]
        return self.entities.create({**fields, "target": target, "training_options": options})

    def patch(self, namespace: str, name: str, fields: JsonObject) -> JsonObject:
        """Update a config; options are added, updated field by field, or removed.

        Raises:
            UnprocessableError: the request changes ``target``, or removes all options.
            ConflictError: an option to add already exists.
        """
        if fields.get("target") is not None:
            raise UnprocessableError("The target of a config cannot be changed")
        sent = {key: value for key, value in fields.items() if value is not None}
        changes = [_objects(sent.pop(f"{verb}training_options", None)) for verb in ("", "add_", "remove_")]
        pod_spec = sent.pop("pod_spec", None)

        def changed(config: ConfigRecord) -> JsonObject:
            options = _changed_options(config.training_options, *changes)
            spec = {**(config.pod_spec or {}), **(pod_spec if isinstance(pod_spec, dict) else {})}
            return {**sent, "training_options": options, "pod_spec": spec or None}

        return {**self.entities.change(namespace, name, changed), "warning_message": None}

    def find(self, reference: str) -> ConfigRecord:
        """Find the config that a job names.

        Raises:
            BadRequestError: the reference has no version.
            NotFoundError: the config does not exist.
        """
        namespace, name = _split(reference)
        if "@" not in name:
            raise BadRequestError(f"Version is not specified in the config URN: {reference}")
        return self.entities.stored(namespace, name)

    def select(self, query: ListQuery) -> EntityPage:
        """Return the page of configs for a list request."""
        shown = {str(each["id"]): each for each in map(self.entities.shown, self.entities.documents())}
        page = select([self._view(each, shown[each.id]) for each in self.entities.all()], query)
        return EntityPage([shown[str(view["id"])] for view in page.data], page.total, query)

    def _view(self, config: ConfigRecord, shown: JsonObject) -> JsonObject:
        # A list can also be filtered and sorted by fields of targets and options.
        target = self._targets.entities.find(config.target) if config.target else None
        named = ("id", "name", "namespace", "created_at", "updated_at", "description", "project")
        return {
            **{name: shown[name] for name in (*named, "custom_fields")},
            "finetuning_type": [option["finetuning_type"] for option in config.training_options],
            "training_type": [option["training_type"] for option in config.training_options],
            "target_name": [config.target, target.name if target else None],
            "target_base_model": target.base_model if target else None,
            "target_enabled": target.enabled if target else None,
            "num_parameters": target.num_parameters if target else None,
        }


@dataclass(frozen=True, slots=True)
class ChosenConfig:
    """The config of a job, named or inline.

    Args:
        reference: the config as responses show it.
        target: the target to train on, as ``namespace/name``.
        options: the training options that it offers.
        precision: the training precision; None leaves it to the device.
    """

    reference: JsonValue
    target: str
    max_seq_length: int
    options: list[JsonObject]
    prompt_template: str | None
    chat_prompt_template: str | None
    precision: str | None


def training_option(config: ChosenConfig, training_type: str, finetuning_type: str) -> JsonObject:
    """Find the config's option for a training type and a fine-tuning type.

    Raises:
        BadRequestError: the config does not offer it.
    """
    for option in config.options:
        if (option["training_type"], option["finetuning_type"]) == (training_type, finetuning_type):
            return {"pipeline_parallel_size": 1, **_completed(option)}
    raise BadRequestError(
        f"Training option {training_type}/{finetuning_type} is not available for this config; "
        f"it offers: {', '.join(map(_label, config.options)) or 'nothing'}"
    )


def _changed_options(
    options: Iterable[JsonObject],
    changed: Iterable[JsonObject],
    added: Iterable[JsonObject],
    removed: Iterable[JsonObject],
) -> list[JsonObject]:
    known = {_label(option): option for option in options}
    for option in changed:
        label = _label(option)
        if label not in known:
            raise UnprocessableError(f"The config has no training option {label}; use add_training_options")
        known[label] = {**known[label], **{key: value for key, value in option.items() if value is not None}}
    for option in added:
        if _label(option) in known:
            raise ConflictError(f"The config already has a training option {_label(option)}")
        known[_label(option)] = _completed(option)
    for option in removed:
        if known.pop(_label(option), None) is None:
            raise UnprocessableError(f"The config has no training option {_label(option)}")
    if not known:
        raise UnprocessableError("A config needs at least one training option")
    return list(known.values())


def _completed(option: JsonObject) -> JsonObject:
    sent = {key: value for key, value in option.items() if value is not None}
    devices = _count(sent.get("num_gpus", 1)) * _count(sent.get("num_nodes", 1))
    return {**_OPTION_DEFAULTS, "data_parallel_size": max(devices, 1), **sent}


def _seeded_precision(device: str) -> str | None:
    """What a device trains in; None where only the trainer finds out which device it is."""
    if device == AUTO:
        return None
    return "fp32" if device == "cpu" else "bf16-mixed"


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) else 1


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _label(option: JsonObject) -> str:
    return f"{option['training_type']}/{option['finetuning_type']}"


def _split(reference: str) -> tuple[str, str]:
    namespace, slash, name = reference.partition("/")
    return (namespace, name) if slash else ("default", namespace)
