"""Renders chat templates in the sandbox, for templates that may not terminate."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypedDict

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_stack.sandbox.limits import cpu_limit, join_text

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.parser import Parser

MODULE = __name__
_SECONDS = 5.0  # of CPU time for one conversation
_FAULTS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class Conversation(TypedDict):
    """A chat template and its variables."""

    template: str
    values: JsonObject


def _render(argument: Conversation) -> str:
    from jinja2 import TemplateError

    try:
        with cpu_limit("The chat template of the model", _SECONDS):
            return join_text(_compiled(argument["template"]).generate(argument["values"]))
    except (TemplateError, *_FAULTS) as error:
        raise BadRequestError(str(error) or type(error).__name__) from error


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    """Compile a template with the functions that transformers provides (``utils/chat_template_utils.py``)."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The ``generation`` tag, which marks the assistant's text; it renders its content unchanged."""

        tags = {"generation"}  # noqa: RUF012  (as jinja2 wants it)

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def raise_exception(message: object) -> None:
        raise TemplateError(str(message))

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _as_json
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": _now}
    return environment.from_string(template)


def _as_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _now(form: str) -> str:
    return datetime.now().strftime(form)


OPERATIONS: dict[str, Callable[[Conversation], str]] = {"render": _render}
