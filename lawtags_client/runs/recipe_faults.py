"""What is wrong with a recipe, in words: file, line and key, and the key that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lawtags_client.errors import RecipeError
from lawtags_client.runs.recipe_messages import message_of, place_of
from lawtags_client.runs.recipe_text import Location, RecipeText

_ALIASES: Mapping[str, str] = {
    "bs": "batch_size",
    "global_batch_size": "batch_size",
    "train_batch_size": "batch_size",
    "per_device_train_batch_size": "micro_batch_size",
    "wd": "weight_decay",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "max_epochs": "epochs",
    "n_epochs": "epochs",
    "steps": "max_steps",
    "warmup": "warmup_steps",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "min_lr": "min_learning_rate",
    "rank": "adapter_dim",
    "r": "adapter_dim",
    "lora_r": "adapter_dim",
    "lora_rank": "adapter_dim",
    "lora_dim": "adapter_dim",
    "lora_alpha": "alpha",
    "lora_dropout": "adapter_dropout",
    "dropout": "adapter_dropout",
    "optim": "optimizer",
    "finetuning_type": "method",
    "peft": "method",
    "max_grad_norm": "gradient_clip",
    "gradient_clip_val": "gradient_clip",
    "max_length": "max_seq_length",
    "seq_length": "max_seq_length",
    "logging_steps": "log_every_n_steps",
    "eval_steps": "val_check_interval",
    "random_state": "seed",
    "base_model": "config",
    "output_model": "output",
    "data": "dataset",
}
"""Names of other trainers."""

_FORMS: Mapping[str, str] = {
    "name": "must be small letters, digits, '.', '_' and '-', at most 64, and not begin with a sign",
    "model.config": "must be NAMESPACE/NAME@VERSION, as lawtags models ls prints it",
    "model.output": "must be NAMESPACE/NAME; lawtags appends the version",
    "dataset.name": "must be NAMESPACE/NAME; lawtags appends the digest of the rows",
    "wandb.api_key_secret": "must be the NAME or WORKSPACE/NAME of a secret, not the key itself",
    "mlflow.uri": "must be http://HOST or https://HOST, without credentials",
}
"""What a value has to look like, in place of its regular expression."""

CORRECT = "Correct what is named above."


@dataclass(frozen=True, slots=True)
class RecipeFault:
    """Something that is wrong with a recipe.

    Args:
        location: of the value.
        message: what is wrong.
        unknown: whether there is no such key.
        meant: the key that was probably meant.
    """

    location: Location
    message: str
    unknown: bool = False
    meant: str | None = None

    def told(self, where: RecipeText | str, overrides: object) -> str:
        """The fault in one line.

        Args:
            where: the file, or what else the recipe comes from.
            overrides: what comes from ``--set`` instead.
        """
        if _is_overridden(self.location, overrides):
            source = "--set "
        else:
            source = f"{where if isinstance(where, str) else where.place(self.location)}: "
        meant = f"; did you mean {self.meant}?" if self.meant else ""
        return f"{source}{dotted(self.location)}: {self.message}{meant}"


def faults_of(problem: ValidationError, root: type[BaseModel]) -> list[RecipeFault]:
    """The faults that a check of a recipe found, one per place.

    Args:
        problem: of pydantic.
        root: the class of the whole recipe.
    """
    found: dict[Location, RecipeFault] = {}
    for error in problem.errors(include_url=False):
        place = place_of(error)
        found.setdefault(
            place,
            unknown_key(place, options_at(root, place[:-1]), names(root))
            if error["type"] == "extra_forbidden"
            else RecipeFault(place, _message(error)),
        )
    return list(found.values())


def faulty(
    faults: Sequence[RecipeFault], where: RecipeText | str, overrides: object, *, hint: str
) -> RecipeError:
    """The error of a wrong recipe: its faults in the order of the lines, and those of ``--set`` at the end.

    Args:
        faults: what is wrong.
        where: the file, or what else the recipe comes from.
        overrides: what comes from ``--set`` instead.
        hint: what to do about it.
    """

    def order(fault: RecipeFault) -> tuple[bool, tuple[int, int]]:
        position = None if isinstance(where, str) else where.position(fault.location)
        return _is_overridden(fault.location, overrides), position or (0, 0)

    return RecipeError([fault.told(where, overrides) for fault in sorted(faults, key=order)], hint=hint)


def _message(error: ErrorDetails) -> str:
    if error["type"] == "string_pattern_mismatch":
        return _FORMS.get(dotted(error["loc"]), error["msg"])
    return message_of(error)


def unknown_key(
    location: Location, known: Collection[str], elsewhere: Mapping[str, Sequence[str]]
) -> RecipeFault:
    """The fault of a key that does not exist.

    Args:
        location: of the key.
        known: the keys that there are in its place.
        elsewhere: the sections that have a key, by its name.
    """
    key = str(location[-1])
    meant = nearest(key, known)
    if meant is None:
        other = nearest(key, elsewhere)
        meant = elsewhere[other][0] if other is not None else None
    return RecipeFault(location, "unknown option", unknown=True, meant=meant)


def nearest(key: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant.

    Example:
        >>> nearest("lr", ["epochs", "learning_rate"])
        'learning_rate'
    """
    names = list(known)
    plain = {_plain(name): name for name in names}
    asked = _plain(key)
    if asked in plain:
        return plain[asked]
    if (alias := _ALIASES.get(key.lower().replace("-", "_"))) in names:
        return alias
    initials = {"".join(word[0] for word in name.split("_") if word): name for name in names if "_" in name}
    if asked in initials:
        return initials[asked]
    close = difflib.get_close_matches(asked, plain, n=1, cutoff=0.7)
    return plain[close[0]] if close else None


def remedy(faults: Sequence[RecipeFault], root: type[BaseModel]) -> str:
    """What to do about faults: the keys that there are, where one is unknown."""
    sections = {fault.location[:-1]: None for fault in faults if fault.unknown}
    hints = [
        f"Known options of {dotted(section)}: {', '.join(options_at(root, section))}." for section in sections
    ]
    if any(not fault.unknown for fault in faults):
        hints.append(CORRECT)
    return " ".join(hints)


def dotted(location: Location) -> str:
    """A location as words: keys and indices with dots."""
    return ".".join(str(part) for part in location) or "the recipe"


def options_at(root: type[BaseModel], location: Location) -> list[str]:
    """The names of the options in a section; an index leads to the entries of its list."""
    section = root
    for part in location:
        if isinstance(part, str):
            section = _section(section, part) or section
    return list(section.model_fields)


def names(root: type[BaseModel]) -> dict[str, list[str]]:
    """The sections of a recipe that have a key, as dotted names, by the name of the key."""
    found: dict[str, list[str]] = {}
    for name in root.model_fields:
        section = _section(root, name)
        for option in section.model_fields if section is not None else ():
            found.setdefault(option, []).append(f"{name}.{option}")
        found.setdefault(name, []).append(name)
    return found


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    annotation = field.annotation if field is not None else None
    inner = next(iter(get_args(annotation)), annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _is_overridden(location: Location, overrides: object) -> bool:
    for part in location:
        if not isinstance(overrides, Mapping):
            return True
        if part not in overrides:
            return False
        overrides = overrides[part]
    return True
