"""The model card: what the tuned model is, on which data, how good, and what it is not for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import yaml

from lawtags_client.runs.language_model import language_model_in_words
from lawtags_client.runs.lineage import Lineage
from lawtags_client.runs.metrics import Metrics
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.repeats import RepeatedVerdict, one_split_in_words
from lawtags_client.runs.trust import calibration_in_words
from lawtags_client.runs.verdict import embeddings_in_words, lost_in_words, sentences
from lawtags_client.terminal import escape_controls

_SHARE_ALIKE = re.compile(r"by[ _-]?sa|share[ -]?alike", re.IGNORECASE)


def data_licenses(recipe: Recipe, rows: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """Licences of the training rows and on how many rows each stands; the recipe's word goes first."""
    if recipe.dataset.license:
        return {recipe.dataset.license: sum(1 for _ in rows)}
    return dict(Counter(str(row.get("license") or "not stated") for row in rows).most_common())


def attribution(recipe: Recipe, licenses: Mapping[str, int]) -> str:
    """Whom the card names for the data; CC BY-SA obliges to it."""
    if recipe.dataset.attribution:
        return recipe.dataset.attribution
    if any(_SHARE_ALIKE.search(license_name) for license_name in licenses):
        return (
            "Questions by users of Stack Exchange, under the CC BY-SA license given in each row; "
            "the rows link to the originals if the source does. "
            "Derived texts must be shared under the same license."
        )
    return "See the license of each row."


def model_card(
    recipe: Recipe,
    *,
    plan: JobPlan,
    model: str,
    metrics: Metrics,
    licenses: Mapping[str, int],
    lineage: Lineage,
    repeats: RepeatedVerdict | None = None,
) -> str:
    """The card as Markdown, with the metadata block that model hubs read.

    Args:
        recipe: the run's recipe.
        plan: the run's plan.
        model: the served model's id.
        metrics: the verdict.
        licenses: from :func:`data_licenses`.
        lineage: where the model comes from.
        repeats: the verdict over repeated splits, if there is one.
    """
    rows, tokens = plan.rows, plan.tokens
    body = f"""# {model}

A tagger for legal questions: it reads title and question, and returns tags. Tuned from `{plan.base_model}`
({recipe.model.license or "license not stated"}) by {recipe.training.method}, recipe `{recipe.name}`.

## Data

{rows["training"]} training, {rows["validation"]} validation and {rows["testing"]} test rows after curation;
the longest training row has {tokens.longest} tokens ({tokens.counter}).

{_table(("license of the rows", "rows"), licenses.items())}

{attribution(recipe, licenses)}

## Training

{_table(("hyperparameter", "value"), plan.hyperparameters.items())}

## Lineage

{_table(("what", "which"), lineage.as_rows())}

## Results on {metrics.test_rows} test rows

{_results(metrics, repeats)}

`tagger` mixes this model's tag probabilities with a classifier fitted on the same training rows; the file
of that mix is beside the model. `tuned` is this model alone.

## Limits

- The model only assigns tags of the training rows, and rarely assigns rare ones.
- Tags help to sort questions. They are not legal advice; do not decide a person's case by them.
- {_personal_data(recipe)}
- Questions in languages other than English, or in a style unlike a forum's, were not measured.
"""
    return f"---\n{yaml.safe_dump(_header(recipe, plan), sort_keys=False)}---\n\n{body}"


def _header(recipe: Recipe, plan: JobPlan) -> dict[str, str | list[str]]:
    return {
        "base_model": plan.base_model,
        "library_name": "peft" if recipe.training.method == "lora" else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["lawtags", "legal", "multi-label-classification", recipe.training.method],
        "license": recipe.model.license or "other",
        "datasets": [recipe.dataset.name],
    }


def _personal_data(recipe: Recipe) -> str:
    pii = recipe.curation.get("pii")
    if isinstance(pii, Mapping) and pii.get("entities") == []:
        return "The training rows were not checked for personal data."
    return "A detector replaced personal data in the training rows; it misses some."


def _results(metrics: Metrics, repeats: RepeatedVerdict | None) -> str:
    rows = []
    for name, found in metrics.systems.items():
        low, high = found.intervals["micro_f1"]
        figures = " | ".join(
            f"{value:.3f}" for value in (found.macro_f1, found.samples_f1, found.exact_match)
        )
        failed = "?" if found.failed is None else found.failed
        rows.append(f"| {name} | {found.micro_f1:.3f} [{low:.3f}, {high:.3f}] | {figures} | {failed} |")
    table = [
        "| system | micro F1 [95 %] | macro F1 | samples F1 | exact | no answer |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    lines = (
        *embeddings_in_words(metrics),
        *sentences(metrics),
        *calibration_in_words(metrics),
        *lost_in_words(metrics),
        *one_split_in_words(metrics.test_rows, repeats),
    )
    paid = [_cell(line) for line in language_model_in_words(metrics)]
    said = [f"- {_cell(line)}" for line in lines]
    told = [*(part for line in paid for part in (line, "")), *table, "", *said]
    return "\n".join(told + (_repeated(repeats) if repeats else []))


def _repeated(repeats: RepeatedVerdict) -> list[str]:
    """The table over repeated splits."""
    rows = [
        f"| {name} | "
        + " | ".join(
            f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
            for figure in (figures["micro_f1"], figures["macro_f1"], figures["samples_f1"])
        )
        + " |"
        for name, figures in repeats.ranked
    ]
    return [
        "",
        _cell(repeats.headline),
        "",
        "| system | mean micro F1 [95 %] | mean macro F1 [95 %] | mean samples F1 [95 %] |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        *(f"- {_cell(line)}" for line in repeats.sentences),
    ]


def _table(headings: tuple[str, str], rows: Iterable[tuple[object, object]]) -> str:
    return "\n".join(
        [
            f"| {headings[0]} | {headings[1]} |",
            "| --- | --- |",
            *(f"| {_cell(a)} | {_cell(b)} |" for a, b in rows),
        ]
    )


def _cell(value: object) -> str:
    # Licences are words of the data: they must not end the cell or begin markup.
    return escape_controls(str(value)).replace("|", "\\|").replace("<", "&lt;")
