"""Intents set against jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lawtags_client.intents import Intent, new_intent
from lawtags_client.services.audit import Audit, MarkedJob, compare

HERE = {"customization": "http://here"}
NOW = datetime(2025, 6, 20, tzinfo=UTC)


def intent(
    name: str, *, job: str | None = None, service: str | None = "http://here", days: int = 0
) -> Intent:
    made = new_intent("customization", {"output_model": f"law/{name}"}, key=name, service=service)
    return replace(made, token=f"token-{name}", remote_id=job, created_at=NOW - timedelta(days=days))


def job(id: str, token: str | None, status: str = "completed") -> MarkedJob:
    return MarkedJob("customization", id, token and f"token-{token}", status, NOW)


def states(found: Audit) -> dict[str | None, str]:
    return {row.made or row.jobs[0]: row.state for row in found.rows}


def test_intent_with_its_one_job_is_matched_whether_its_id_was_noted_or_not() -> None:
    found = compare(
        {"s": [intent("a", job="j-a"), intent("b")]}, [job("j-a", "a"), job("j-b", "b", "running")], HERE
    )
    assert states(found) == {"law/a": "matched", "law/b": "matched"}
    assert found.wrong() == []


def test_adopted_job_is_matched_under_the_token_of_another_store() -> None:
    found = compare({"s": [intent("a", job="j-1")]}, [job("j-1", "someone")], HERE)
    assert states(found) == {"law/a": "matched"}


def test_intent_without_a_job_is_missing_and_says_what_the_same_call_does() -> None:
    found = compare({"s": [intent("a", job="j-a"), intent("b")]}, [], HERE)
    assert states(found) == {"law/a": "missing", "law/b": "missing"}
    gone, unseen = found.rows
    assert gone.jobs == ("j-a",) and "no longer exists" in (gone.fix or "")
    assert unseen.jobs == () and "may never have arrived" in (unseen.fix or "")


def test_two_jobs_of_one_intent_are_doubled_until_one_is_cancelled() -> None:
    both = [job("j-1", "a", "running"), job("j-2", "a", "running")]
    (row,) = compare({"s": [intent("a", job="j-1")]}, both, HERE).rows
    assert row.state == "doubled"
    assert "Keep j-1, and cancel j-2" in (row.fix or "")
    cancelled = [both[0], replace(both[1], status="cancelled")]
    assert states(compare({"s": [intent("a", job="j-1")]}, cancelled, HERE)) == {"law/a": "matched"}


def test_job_with_a_token_of_nobody_is_an_orphan_and_one_without_is_foreign() -> None:
    found = compare({"s": []}, [job("j-1", "gone"), job("j-2", None)], HERE)
    assert states(found) == {"j-1": "orphan"}
    assert (found.foreign, len(found.wrong()), found.wrong(orphans=False)) == (1, 1, [])


def test_intent_for_another_platform_is_not_judged_by_this_one() -> None:
    found = compare({"s": [intent("a", job="j-a", service="http://there")]}, [], HERE)
    assert (found.rows, found.elsewhere) == ((), 1)
    moved = compare({"s": [intent("a", service="http://there")]}, [job("j-a", "a")], HERE)
    assert states(moved) == {"law/a": "matched"}


def test_old_intents_are_left_out_only_where_their_jobs_are() -> None:
    old = [intent("a", job="j-a", days=40), intent("b", job="j-b", days=40)]
    found = compare({"s": old}, [job("j-a", "a")], HERE, since=NOW - timedelta(days=30))
    assert states(found) == {"law/a": "matched"}


def test_kinds_are_kept_apart() -> None:
    found = compare({"s": [intent("a")]}, [replace(job("j-a", "a"), kind="evaluation")], HERE)
    assert states(found) == {"law/a": "missing", "j-a": "orphan"}
