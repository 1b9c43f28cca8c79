"""The table of the docs: each operation of NeMo Helix, on NVIDIA's server and on the embedded stack."""

from __future__ import annotations

from collections import Counter

import openapi
from dialect_replay import Outcome

HEADING = "## NeMo Helix"
_UNDECLARED = "what the document does not declare"


def conformance_table(outcomes: list[Outcome]) -> str:
    """The results of a replay, operation by operation.

    Args:
        outcomes: of all recorded exchanges.
    """
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(_operation(each), []).append(each)
    identical = sum(each.identical for each in outcomes)
    operations = len(groups) - (_UNDECLARED in groups)
    lines = [
        HEADING,
        "",
        f"{len(outcomes)} requests to {operations} operations were recorded on an unmodified nemo-helix "
        "0.8.1, and are repeated in the same order to the embedded stack "
        f"(`lawtags local up --dialect helix`): {identical} answers are identical once ids, times, addresses "
        "and folders are masked. `alike` has the same status and the same fields with other values. "
        "`tests/helix/test_dialect_replay.py` has the reason for each answer that is not identical.",
        "",
        "| operation | NVIDIA's answers | embedded stack |",
        "| --- | --- | --- |",
    ]
    for name in sorted(groups, key=lambda name: (name == _UNDECLARED, *name.split(" ")[::-1])):
        found = groups[name]
        shown = name if name == _UNDECLARED else f"`{name}`"
        lines.append(f"| {shown} | {_statuses(found)} | {_verdict(found)} |")
    return "\n".join(lines) + "\n"


def _operation(outcome: Outcome) -> str:
    exchange = outcome.exchange
    try:
        template, _ = openapi.operation(exchange.method, exchange.path)
    except openapi.Undeclared:
        return _UNDECLARED
    return f"{exchange.method} {template.removeprefix('/apis')}"


def _statuses(outcomes: list[Outcome]) -> str:
    counted = Counter(each.exchange.status for each in outcomes)
    return ", ".join(
        f"{status} ({number})" if number > 1 else str(status) for status, number in sorted(counted.items())
    )


def _verdict(outcomes: list[Outcome]) -> str:
    alike = sum(each.same_shape and not each.identical for each in outcomes)
    other = sum(not each.same_shape for each in outcomes)
    if not alike and not other:
        return "identical"
    counts = {"identical": len(outcomes) - alike - other, "alike": alike, "other": other}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
