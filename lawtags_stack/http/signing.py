"""Signed URLs: clients upload without sending their token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

from lawtags_stack.times import Clock

_LIFETIME = 24 * 3600


def signed_query(token: str | None, method: str, path: str, clock: Clock) -> str:
    """Create the signed query of a URL, including ``?``; empty if no token is required.

    Args:
        token: the stack's token, which signs the URL.
        method: the only method that it allows.
        path: the only path that it allows.
        clock: returns the time; the URL expires after a day.
    """
    if token is None:
        return ""
    expires = str(int(clock().timestamp()) + _LIFETIME)
    signature = _signature(token, method, path, expires)
    return "?" + urlencode({"expires": expires, "signature": signature})


def is_signed(token: str, method: str, path: str, query: Mapping[str, str], clock: Clock) -> bool:
    """Whether a request has a valid, unexpired signature."""
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if not expires.isascii() or not expires.isdigit() or int(expires[:12]) < clock().timestamp():
        return False
    wanted = _signature(token, method, path, expires)
    return hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))


def _signature(token: str, method: str, path: str, expires: str) -> str:
    text = "\n".join((method, path, expires))
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()
