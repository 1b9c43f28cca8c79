"""``lawtags doctor``: checks that everything a run needs is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.platform.checks import CheckResult


@command
def doctor(session: Session) -> None:
    """Check services, credentials, versions, disk and clock, and print how to fix each problem.

    Example: lawtags doctor --profile cluster
    """
    from lawtags_client.platform.checks import (
        CheckResult,
        check_addresses,
        check_clock,
        check_credentials,
        check_encoder,
        check_extras,
        check_helix,
        check_memory,
        check_place,
        check_platform,
        check_services,
    )
    from lawtags_client.platform.choice import speaks_helix

    async def work() -> list[CheckResult]:
        try:
            async with session.client() as nemo:
                settings = nemo.settings
                found = [
                    *check_memory(settings.intents_path),
                    *check_addresses(settings),
                    *check_credentials(settings),
                    *await check_platform(settings),
                ]
                if any(row.what == "platform" and row.state == "failed" for row in found):
                    return found
                if await speaks_helix(settings):
                    return [*found, *await check_helix(settings)]
                return [*found, *await check_services(nemo), *await check_clock(nemo)]
        except ConfigurationError as problem:
            return [CheckResult("settings", "failed", problem.message, problem.hint)]

    findings = [*check_place(), *check_extras(), *check_encoder(), *session.run(work())]
    if session.json:
        session.emit(map(asdict, findings))
    else:
        _print(session, findings)
    broken = [row.what for row in findings if row.state == "failed"]
    if broken:
        raise LawtagsError(f"not working: {', '.join(broken)}", hint="See the fixes above.")


def _print(session: Session, findings: list[CheckResult]) -> None:
    from rich.text import Text

    colours = {"ok": "green", "missing": "yellow", "unknown": "yellow"}
    session.table(
        ("what", "state", "finding"),
        [(row.what, Text(row.state, colours.get(row.state, "red")), row.finding) for row in findings],
    )
    # Below the table, each fix once, on a line that can be copied.
    concerned: dict[str, list[str]] = {}
    for row in findings:
        if row.fix:
            concerned.setdefault(row.fix, []).append(row.what)
    for fix, names in concerned.items():
        session.say(f"{', '.join(names)}: {fix}")
