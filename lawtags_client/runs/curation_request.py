"""A curation as a command asks for it: a recipe's options, some of them replaced, and a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.json_value import JsonObject
from lawtags_client.runs.recipe import merged, nested
from lawtags_client.runs.recipe_loading import load_recipe
from lawtags_client.runs.tokens import TokenCounter, token_counter

if TYPE_CHECKING:
    from lawtags_client.curation import CurationOptions, CurationProgress, CurationReport


@dataclass(frozen=True, slots=True)
class CurationRequest:
    """A curation to run.

    Attributes:
        inputs: files, patterns or ``hf://`` names of questions.
        out: the folder for the rows.
        options: of the curation.
        counter: counts the tokens of the base model.
        test: labeled questions to use as the test set.
        scheduler: address of a Dask scheduler, or None for this machine.
        workers: processes on this machine, or None to choose automatically.
        forget: a file of questions to leave out.
    """

    inputs: Sequence[str]
    out: Path
    options: CurationOptions
    counter: TokenCounter
    test: Path | None = None
    scheduler: str | None = None
    workers: int | None = None
    forget: Path | None = None

    def run(self, on_progress: Callable[[CurationProgress], None]) -> CurationReport:
        """Curate; blocks until it is done.

        Raises:
            LawtagsError: as ``lawtags_client.curation.curate``.
        """
        from lawtags_client.curation import curate

        return curate(
            self.inputs,
            self.out,
            self.options,
            test=self.test,
            scheduler=self.scheduler,
            count_tokens=self.counter.count if self.counter.exact else None,
            tokenizer=self.counter.identity if self.counter.exact else None,
            forget=self.forget,
            on_progress=on_progress,
            workers=self.workers,
        )


def curation_options(recipe: str | None, values: JsonObject, settings: JsonObject) -> CurationOptions:
    """The options of a curation.

    Args:
        recipe: the recipe whose curation section is the basis; None for the defaults.
        values: options by their dotted name.
        settings: options as nested mappings, which win over ``values``.

    Raises:
        ConfigurationError: an option is unknown or invalid.
    """
    from lawtags_client.curation import CurationOptions

    basis: JsonObject = load_recipe(recipe).curation if recipe else {}
    return CurationOptions.from_dict(merged(basis, merged(nested(values), settings)))


def curation_counter(recipe: str | None, tokenizer: str | None) -> TokenCounter:
    """The token counter of a curation: the tokenizer that is named, or that of the recipe.

    Raises:
        ConfigurationError: there is no such tokenizer or recipe.
    """
    return token_counter(tokenizer or (load_recipe(recipe).model.tokenizer if recipe else None))
