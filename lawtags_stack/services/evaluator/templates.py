"""Jinja templates over the fields of a row and the model's answer, sandboxed."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from lawtags_client.errors import BadRequestError, LawtagsError, MissingExtraError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.sandbox.limits import cpu_limit, join_text

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_SECONDS = 2.0  # of CPU time per template and row; usually takes under 1 ms


def render(template: JsonValue, values: JsonObject) -> JsonValue:
    """Render a template, or all templates within a JSON value.

    A template that uses ``tojson`` and renders to JSON becomes that value, so ``"{{ item.messages | tojson
    }}"`` produces messages; a prompt that merely looks like JSON stays text.

    Args:
        template: text, or JSON that contains texts.
        values: the variables of the templates.

    Raises:
        BadRequestError: a template is invalid, uses an unknown variable, or does something forbidden.
        ResourceLimitError: a template produces too much text.
    """
    if isinstance(template, str):
        text = render_text(template, values)
        return _parsed(text) if "tojson" in template else text
    if isinstance(template, dict):
        return {name: render(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [render(inner, values) for inner in template]
    return template


def render_text(template: str, values: JsonObject) -> str:
    """Render one template. Raises as ``render``."""
    if "{" not in template:
        return template
    try:
        # Compiling is limited, too: it evaluates constant expressions.
        with cpu_limit(f"The template {template[:200]!r}", _SECONDS):
            return join_text(_compiled(template).generate(values))
    except (LawtagsError, MemoryError, RecursionError):
        raise
    except Exception as error:  # a template can make Python and Jinja raise anything
        raise BadRequestError(f"The template {template[:200]!r} is invalid: {error}") from error


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    try:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise MissingExtraError("jinja2", "local", "evaluation") from error
    # Strict: a misspelled column is an error, not an empty prompt for every row.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    # Jinja's own filter escapes for HTML, which would change prompts.
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


def _parsed(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
