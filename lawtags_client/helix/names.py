"""Names on Helix: one rule for all entities, checked before anything is sent.

A name has 2 to 63 characters: lower-case letters, digits and ``-@.+_``. It begins with a letter, does not end
with a hyphen, and has no two hyphens in a row.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from lawtags_client.errors import ConfigurationError

RULE = r"^[a-z](?!.*--)[a-z0-9\-@.+_]{1,62}(?<!-)$"
"""The rule as Helix states it in its refusals."""

LONGEST = 63
"""Characters that a name may have."""

ANY_WORKSPACE = "-"
"""Stands for all workspaces in the paths of lists."""

_RULE = re.compile(RULE)
_OTHER = re.compile(r"[^a-z0-9@.+_]+")
_TOKEN = 12
_REMEDY = "Names have 2 to 63 lower-case letters, digits and -@.+_, begin with a letter and have no '--'."


def is_valid(name: str) -> bool:
    """Whether Helix takes a name."""
    # "$" alone would also match before a newline at the end.
    return _RULE.fullmatch(name) is not None and not name.endswith("\n")


def make_name(text: str, *, token: str = "") -> str:
    """A name that Helix takes, as close as possible to a text; a valid text stays as it is.

    Args:
        text: anything that a user may call a thing.
        token: put at the end, so that different things have different names; lower-case letters and digits.
    """
    token = _slug(token)[:_TOKEN].strip("-")
    slug = _slug(text)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    if _loses_letters(text):
        slug = f"{slug}-{digest}".lstrip("-")
    if not slug[:1].isalpha():
        slug = f"x-{slug}" if slug else "x"
    room = LONGEST - (len(token) + 1 if token else 0)
    if len(slug) > room:
        # Long names differ at their end more often than at their beginning.
        slug = f"{slug[: room - 9].rstrip('-')}-{digest}"
    name = f"{slug.rstrip('-')}-{token}" if token else slug.rstrip("-")
    return name if len(name) > 1 else f"{name}-x"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return _OTHER.sub("-", plain).strip("-")


def _loses_letters(text: str) -> bool:
    """Whether a text has letters or digits that no letter of a name stands for; others may differ in them."""
    return any(char.isalnum() and not char.isascii() for char in unicodedata.normalize("NFKD", text))


def check_name(name: str, what: str = "name") -> str:
    """The name itself, where Helix takes it.

    Args:
        name: as the user gave it.
        what: what it names, for the message.

    Raises:
        ConfigurationError: it breaks the rule; the hint has a name that does not.
    """
    if is_valid(name):
        return name
    raise ConfigurationError(
        f"Helix does not take the {what} {name[:80]!r}: {_problem(name)}",
        hint=f"Use {make_name(name)!r}. {_REMEDY}",
    )


def split_reference(reference: str, workspace: str, what: str = "name") -> tuple[str, str]:
    """Workspace and name of ``name`` or ``workspace/name``.

    Args:
        reference: as the user gave it.
        workspace: the one of a bare name.
        what: what it names, for the message.

    Raises:
        ConfigurationError: it has another form, or a part breaks the rule.
    """
    first, slash, last = reference.partition("/")
    if not slash:
        return check_name(workspace, "workspace"), check_name(reference, what)
    if "/" in last or "#" in last:
        raise ConfigurationError(
            f"{what} {reference[:160]!r} is not of the form name or workspace/name",
            hint=f"For example: {make_name(first)}/{make_name(last.replace('/', '-'))}",
        )
    return check_name(first, "workspace"), check_name(last, what)


def adapter_reference(base: str, adapter: str) -> str:
    """What the gateway calls an adapter of a model: ``workspace/base&adapters/workspace/adapter``.

    Args:
        base: ``workspace/base``.
        adapter: ``workspace/adapter``.

    Raises:
        ConfigurationError: one of them has another form.
    """
    for reference, what in ((base, "base model"), (adapter, "adapter")):
        if "/" not in reference:
            raise ConfigurationError(
                f"the {what} {reference!r} has no workspace", hint=f"Write workspace/{reference}."
            )
        split_reference(reference, "", what)
    return f"{base}&adapters/{adapter}"


def split_adapter(reference: str) -> tuple[str, str | None]:
    """The base model and, if there is one, the adapter of a reference to a model."""
    base, found, adapter = reference.partition("&adapters/")
    return base, adapter if found else None


def _problem(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) == 1:
        return "it has one character, and needs two"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, {LONGEST} are allowed"
    if not re.match("[a-z]", name):
        return "it does not begin with a lower-case letter"
    if "--" in name:
        return "it has two hyphens in a row"
    if name.endswith("-"):
        return "it ends with a hyphen"
    others = sorted({letter for letter in name if not re.match(r"[a-z0-9\-@.+_]", letter)})
    return f"it has {' '.join(map(repr, others[:5]))}"
