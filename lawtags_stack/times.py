"""Moments as each service writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment, aware of being UTC."""
    return datetime.now(UTC)


def naive(moment: datetime) -> str:
    """Entity Store, Customizer, Evaluator: microseconds, UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def zulu(moment: datetime) -> str:
    """Deployment Management: fractions of a second and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def zulu_seconds(moment: datetime) -> str:
    """Data Store: whole seconds and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def zulu_milliseconds(moment: datetime) -> str:
    """The Hugging Face protocol: milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_moment(text: str) -> datetime:
    """A moment from any of these forms, or a bare date; without an offset it is UTC.

    Raises:
        ValueError: it is none of them.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"not a date and time in the years 1 to 9999 (UTC): {text[:40]!r}") from None
