from __future__ import annotations

from hypothesis import settings

# Files and models are slow at first use; a busy machine must not fail a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
