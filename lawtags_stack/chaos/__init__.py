"""Fault injection: delays, errors and crashes that a stack produces on purpose, to test its clients."""

from __future__ import annotations

from lawtags_stack.chaos.plan import ChaosPlan, read_plan

__all__ = ["ChaosPlan", "read_plan"]
