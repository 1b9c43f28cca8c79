"""Ids in the API's format: a prefix and a random UUID in base 58."""

from __future__ import annotations

import re
import unicodedata
import uuid

from lawtags_client.errors import UnprocessableError

# Base 58: digits and letters without the look-alikes 0, O, I and l.
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Zero-width characters that are part of words in Persian and other scripts, and of emoji."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+:@\-]{0,254}\Z")


def base58(number: int) -> str:
    """Encode a non-negative number in base 58."""
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return digits or _ALPHABET[0]


def new_id(prefix: str, value: uuid.UUID | None = None) -> str:
    """Create an id such as ``cust-FarcM8gwhL1XFDXQ57qGLL``.

    Args:
        prefix: type of the object: ``cust``, ``eval``, ``dataset``, ``model``, ...; a trailing ``-`` is
            added.
        value: the UUID to encode; random by default.
    """
    return f"{prefix}-{base58((value or uuid.uuid4()).int)}"


def unseen_character(text: str) -> str | None:
    """Find the first invisible character that may change how the text looks.

    These are control characters (C0, C1 and DEL), format characters such as U+202E and U+FEFF, line and
    paragraph separators, and unpaired surrogates. The joiners U+200C and U+200D are allowed.

    Returns:
        Its code point, e.g. ``U+202E``; None if there is none.
    """
    for character in text:
        if character not in _JOINERS and unicodedata.category(character) in _UNSEEN:
            return f"U+{ord(character):04X}"
    return None


def check_name(name: str, *, what: str = "name", versioned: bool = True) -> str:
    """Reject names that cannot be used in a path, or would change its meaning.

    Args:
        name: the name.
        what: its label in the error message.
        versioned: whether ``@`` and ``+`` are allowed, as in ``model@v1.0.0+cpu``.

    Raises:
        UnprocessableError: the name is invalid.
    """
    if not name:
        raise UnprocessableError(f"{what} must not be empty")
    if not _NAME.match(name) or ".." in name or (not versioned and ("@" in name or "+" in name)):
        raise UnprocessableError(
            f"{what} {name[:80]!r} is invalid. Use letters, digits, '.', '_', '-'"
            f"{', and @, +, : for versions' if versioned else ''}; at most 255 characters, "
            "beginning with a letter, digit or underscore, without '..'"
        )
    return name


def sent_name(sent: object, default: str, *, what: str = "name", versioned: bool = True) -> str:
    """Return the name in a request, or the default if it has none.

    Args:
        sent: the field's value; None if it was missing or null.
        default: the default name.
        what: its label in the error message.
        versioned: as for ``check_name``.

    Raises:
        UnprocessableError: the name is invalid; an empty name does not count as missing.
    """
    return default if sent is None else check_name(str(sent), what=what, versioned=versioned)


def split_reference(reference: str, *, what: str = "reference") -> tuple[str, str]:
    """Split ``namespace/name``.

    Raises:
        UnprocessableError: the reference has another form.
    """
    namespace, slash, name = reference.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise UnprocessableError(f"{what} {reference[:200]!r} is not of the form namespace/name")
    return namespace, name
