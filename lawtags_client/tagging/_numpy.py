"""NumPy, or an error that says which extra brings it."""

from __future__ import annotations

from lawtags_client.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("numpy", "tag", "The tagger") from error

__all__ = ["np"]
