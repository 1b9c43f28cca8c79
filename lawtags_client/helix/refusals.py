"""Helix's refusals as errors of this package, each with the field that is wrong and what to do.

A refusal's ``detail`` is text for what only the platform can know, a list of issues for what is wrong by
schema, and a model server's whole body as text where the gateway passes one on. Details are untrusted: the
inputs that Helix repeats in them are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lawtags_client.errors import (
    APIError,
    ConflictError,
    RateLimitedError,
    UpstreamError,
)
from lawtags_client.helix.known_refusals import KNOWN
from lawtags_client.helix.names import RULE, make_name
from lawtags_client.terminal import escape_controls
from lawtags_client.transport.details import detail_message

_MOST_ISSUES = 5
_MOST_TEXT = 1000
_UPSTREAM = re.compile(r"\[nemo_upstream_status=(\d{3})\]\s*(?:Upstream response:\s*)?(.*)", re.DOTALL)
_PREFIX = re.compile(r"^Failed to (?:compile|transform) [\w -]{1,60}job (?:spec|input to output): ")
_OF_PARSERS = frozenset({"body", "query", "path", "header"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal says.

    Args:
        message: in words.
        field: the field of the request that is wrong, if known.
        hint: what to do.
        kind: the error class, where the status alone would give the wrong one.
        upstream_status: what the model server behind the gateway answered.
    """

    message: str
    field: str | None = None
    hint: str | None = None
    kind: type[APIError] | None = None
    upstream_status: int | None = None


def read_refusal(status: int, detail: object) -> Refusal:
    """Read the ``detail`` of an error.

    Args:
        status: the HTTP status.
        detail: decoded JSON.
    """
    if isinstance(detail, list):
        return _of_issues(detail)
    if not isinstance(detail, str):
        return Refusal(detail_message(detail))
    if (upstream := _UPSTREAM.search(detail)) is not None:
        inner = _inner_message(upstream[2]) or upstream[2].strip()
        code = int(upstream[1])
        said = f"the model server answered {code}" + (f": {inner}" if inner else "")
        return Refusal(_cut(said), "model", _UPSTREAM_HINTS.get(code, _ANY_UPSTREAM), UpstreamError, code)
    if (inner := _inner_message(detail)) is not None:
        return Refusal(_cut(inner), upstream_status=status)
    text = _PREFIX.sub("", detail)
    for known in KNOWN:
        if (found := known.pattern.search(text)) is not None and known.status in (None, status):
            parts = {name: value or "" for name, value in found.groupdict().items()}
            hint = known.hint.format_map(parts)
            message = known.message.format_map(parts) if known.message else text
            field = known.field and known.field.format_map(parts)
            return Refusal(_cut(message), field, hint, known.kind)
    return Refusal(_cut(text))


def explained(error: APIError) -> APIError:
    """The error that a refusal of Helix stands for; one that says nothing known stays what it is.

    Args:
        error: as the transport made it of the response.
    """
    if error.status is None or isinstance(error, UpstreamError) or error.field is not None:
        return error
    refusal = read_refusal(error.status, error.detail)
    kind = refusal.kind or type(error)
    message = escape_controls(refusal.message) or error.message
    made = kind(message, field=refusal.field)
    made.hint = refusal.hint or error.hint
    made.service, made.status, made.request_id, made.url = (
        error.service,
        error.status,
        error.request_id,
        error.url,
    )
    made.detail = _without_inputs(error.detail)
    if isinstance(made, UpstreamError):
        made.upstream_status = refusal.upstream_status
    if isinstance(made, RateLimitedError) and isinstance(error, RateLimitedError):
        made.retry_after = error.retry_after
    return made


_HOLDER = re.compile(
    r"Job '([^']{1,255})' (?:\([^()]{1,60}\) is already producing|already exists in workspace)"
)


def holder(error: APIError) -> str | None:
    """The job that has the name, or makes the output, for which a submission was refused.

    A refused job may never have been there at all: the secret that is missing is a conflict to Helix, too.
    """
    text = error.detail if isinstance(error.detail, str) else error.message
    found = _HOLDER.search(text)
    return found[1] if found and isinstance(error, ConflictError) else None


def _of_issues(issues: list[object]) -> Refusal:
    read = [_issue(issue) for issue in issues[:_MOST_ISSUES]]
    fields = [field for field, _, _ in read if field]
    texts = [f"{field}: {text}" if field else text for field, text, _ in read]
    left = len(issues) - len(read)
    if left > 0:
        texts.append(f"and {left} more")
    hints = list(dict.fromkeys(hint for _, _, hint in read if hint))
    return Refusal(_cut("; ".join(texts)), fields[0] if fields else None, " ".join(hints) or None)


def _issue(issue: object) -> tuple[str, str, str | None]:
    """Field, complaint and remedy of one issue."""
    if not isinstance(issue, Mapping):
        return "", str(issue)[:200], None
    kind, text, context = issue.get("type"), str(issue.get("msg") or "is invalid"), issue.get("ctx")
    place = issue.get("loc")
    field = _field(place) if isinstance(place, list) else ""
    text = text.removeprefix("Value error, ")
    if kind == "json_invalid":
        # Its place is a position in the body.
        return "", text[:300], "Send valid JSON."
    pattern = context.get("pattern") if isinstance(context, Mapping) else None
    if kind == "string_pattern_mismatch" and pattern == RULE:
        given = issue.get("input")
        proposal = f" Use {make_name(given)!r}." if isinstance(given, str) else ""
        return field, "the name breaks the rule of Helix", f"{_NAME_RULE}{proposal}"
    if not field and kind == "value_error" and "Secret value" in text:
        field = "value"
    where = field or "the request"
    remedy = _REMEDIES.get(str(kind), "Correct {field}.")
    if kind == "value_error" and (named := _NAMED_IN_TEXT.search(text)) is not None:
        # It stands at the object that it was found in, and names the field in words.
        field = _joined(field, named[0].removeprefix("spec."))
        where = field
    return field, text[:300], remedy.format(field=where)


def _field(place: list[object]) -> str:
    parts = [str(part) for part in place if isinstance(part, str | int)]
    if parts and parts[0] in _OF_PARSERS:
        parts = parts[1:]
    # The branches of a union are no fields, and a position in broken JSON is none.
    return ".".join(part for part in parts[:20] if not re.search(r"[\[\]()]|Ref$", part))[:200]


def _joined(outer: str, inner: str) -> str:
    """A field of a field, where the inner name may repeat a part of the outer."""
    last = outer.rpartition(".")[2]
    if inner == last or outer.endswith(f".{inner}"):
        return outer
    return f"{outer}.{inner.removeprefix(f'{last}.')}" if outer else inner


_NAMED_IN_TEXT = re.compile(
    r"\b(?:spec\.)?(?:lora|deployment_config|model|training)\.[a-z_0-9]+\b|\b(?:teacher_model|output_model)\b"
)
_NAME_RULE = (
    "Names have 2 to 63 lower-case letters, digits and -@.+_, begin with a letter, do not end with '-' "
    "and have no '--'."
)
_REMEDIES = {
    "missing": "Set {field}.",
    "extra_forbidden": "Remove {field}; Helix does not know it.",
    "value_error": "Correct {field} as the message says.",
    "too_short": "Put at least one item into {field}.",
    "union_tag_invalid": "Set {field} to one of the kinds that the message lists.",
    "literal_error": "Set {field} to one of the values that the message lists.",
    "enum": "Set {field} to one of the values that the message lists.",
    "model_attributes_type": "Pass {field} as an object with its own fields.",
    "less_than_equal": "Set {field} to a value within the limit.",
    "greater_than_equal": "Set {field} to a value within the limit.",
    "greater_than": "Set {field} to a value within the limit.",
}
_UPSTREAM_HINTS = {
    401: "Check the API key of the provider: the secret that api_key_secret_name names.",
    403: "Check the API key of the provider: the secret that api_key_secret_name names.",
    404: "Check the name of the model. List what the server has with the provider's route /v1/models.",
}
_ANY_UPSTREAM = "Check the log of the model server; the request reached it and was refused."


def _inner_message(text: str) -> str | None:
    """What an OpenAI-like error that stands in a text says."""
    start = text.strip()
    if not start.startswith("{"):
        return None
    try:
        body = json.loads(start)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    inner = body.get("error") or body.get("detail") or body
    return detail_message(inner) or None


def _without_inputs(detail: object) -> object:
    """A detail without what was sent, which may be confidential."""
    if not isinstance(detail, list):
        return detail
    return [
        {key: value for key, value in issue.items() if key in ("type", "loc", "msg")}
        if isinstance(issue, Mapping)
        else str(issue)[:200]
        for issue in detail[:100]
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
