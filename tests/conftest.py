"""What holds for all tests."""

from __future__ import annotations

import inspect
import os

import httpx
from hypothesis import HealthCheck, settings

# Files of tests run side by side, so threads of torch would only wait for each other, here and in the
# processes that tests start. What needs more threads asks for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# So does how long an answer takes: httpx gives up after five seconds, in which a busy machine may not even
# have started a worker. These are the timeouts of requests that tests make themselves.
_patience = inspect.signature(httpx.request).parameters["timeout"].default
_patience.connect = _patience.read = _patience.write = _patience.pool = 120.0
