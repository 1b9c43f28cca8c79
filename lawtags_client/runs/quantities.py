"""Times, amounts of money and sizes as people read them."""

from __future__ import annotations

import math


def in_words(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> in_words(4000)
        '1 h 7 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def money(amount: float, currency: str | None) -> str:
    """An amount for people; a small one keeps two digits that say something.

    Example:
        >>> money(0.00213, "EUR"), money(1234.5, "USD")
        ('0.0021 EUR', '1,234.50 USD')
    """
    digits = 2 if amount >= 0.1 or amount <= 0 else min(1 - math.floor(math.log10(amount)), 8)
    return f"{amount:,.{digits}f} {currency or ''}".strip()
