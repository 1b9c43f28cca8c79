"""Deliberate trouble: what a stack is told to do to its callers, so that they can be seen to survive it."""

from __future__ import annotations

from lawtags_stack.chaos.plan import ChaosPlan, read_plan

__all__ = ["ChaosPlan", "read_plan"]
