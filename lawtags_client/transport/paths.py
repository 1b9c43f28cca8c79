"""Paths of requests, made so that a name can never reach beyond its place."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from lawtags_client.errors import ConfigurationError

# The services take these literally; '+' must stay, since some proxies read '%2B' back as a space.
_RAW = "@+:.~!$&'()*,;="
_LONGEST = 255
_EXAMPLES = {
    "config": "meta/llama-3.2-1b-instruct@v1.0.0+A100",
    "dataset": "law/tags",
    "model": "law/tagger@v1",
    "output model": "law/tagger@v1",
}


def segment(name: str, what: str = "name") -> str:
    """One segment of a path.

    Args:
        name: the name as users know it.
        what: what it names, for the message.

    Raises:
        ConfigurationError: it is no text, empty, too long, or contains something that would lead elsewhere.
    """
    _check(name, what)
    return quote(name, safe=_RAW)


def join(*parts: str) -> str:
    """A path of fixed parts (beginning with ``/``) and of names that are checked and quoted.

    Example:
        ``join("/v1/models", "ns", "name@v1")`` gives ``/v1/models/ns/name@v1``.
    """
    return "".join(
        part if isinstance(part, str) and part.startswith("/") else f"/{segment(part)}" for part in parts
    )


def file_path(path: str) -> str:
    """A path inside a repository: segments between slashes, each checked."""
    return "/".join(segment(part, "file name") for part in path.split("/"))


def split_reference(reference: str, what: str = "name") -> tuple[str, str]:
    """Namespace and name of ``namespace/name``.

    Raises:
        ConfigurationError: it has another form.
    """
    namespace, slash, name = reference.partition("/")
    is_path = what == "dataset" and reference.startswith(("./", "../", "~/"))
    if is_path or not slash or not namespace or not name or "/" in name:
        raise ConfigurationError(
            f"{what} {reference!r} is not of the form namespace/name",
            hint=_how_to_name(what, reference),
        )
    _check(namespace, "namespace")
    _check(name, what)
    return namespace, name


def _how_to_name(what: str, reference: str) -> str:
    example = f"For example: {_EXAMPLES.get(what, 'law/tagger')}"
    if what == "dataset" and ("/" in reference or "\\" in reference):
        return f"{example}. Upload a folder first, with upload_dataset or `lawtags upload FOLDER NAME`."
    return example


def _check(name: str, what: str) -> None:
    problem = None
    given: object = name
    if not isinstance(given, str):
        kind = "None" if given is None else f"of the type {type(given).__name__}"
        raise ConfigurationError(f"the {what} is {kind}", hint="Pass it as text.")
    if not name:
        problem = "is empty"
    elif len(name.encode("utf-8", "surrogatepass")) > _LONGEST:
        problem = f"is longer than {_LONGEST} bytes"
    elif set(name) == {"."}:
        problem = "refers to another folder"
    elif found := sorted(set(name) & set("/\\%?#")):
        problem = f"contains {' '.join(found)}"
    elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        problem = "contains control characters"
    elif name != name.strip():
        problem = "begins or ends with a space"
    if problem:
        raise ConfigurationError(
            f"the {what} {name[:80]!r} {problem}", hint="Use letters, digits, '-', '_', '.'."
        )
