"""``lawtags doctor``: is everything there that a run needs?"""

from __future__ import annotations

from typing import Any

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, LawtagsError


@command
def doctor(
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Check services, credentials, versions, disk and clock, and print how to fix each problem.

    Example: lawtags doctor --profile cluster
    """
    from lawtags_client.platform.checks import (
        check_clock,
        check_credentials,
        check_extras,
        check_memory,
        check_place,
        check_services,
    )

    session = Session(as_json, profile, verbose, no_input)

    async def work() -> list[dict[str, Any]]:
        try:
            async with session.client() as nemo:
                settings = nemo.settings
                return [
                    *check_memory(settings.intents_path),
                    *check_credentials(settings),
                    *await check_services(nemo),
                    *await check_clock(nemo),
                ]
        except ConfigurationError as problem:
            return [{"what": "settings", "state": "failed", "finding": problem.message, "fix": problem.hint}]

    findings = [*check_place(), *check_extras(), *session.run(work())]
    if as_json:
        session.emit(findings)
    else:
        _tell(session, findings)
    broken = [row["what"] for row in findings if row["state"] == "failed"]
    if broken:
        raise LawtagsError(f"not working: {', '.join(broken)}", hint="See the fixes above.")


def _tell(session: Session, findings: list[dict[str, Any]]) -> None:
    from rich.text import Text

    colours = {"ok": "green", "missing": "yellow", "unknown": "yellow"}
    session.table(
        ("what", "state", "finding"),
        [
            (row["what"], Text(row["state"], colours.get(row["state"], "red")), row["finding"])
            for row in findings
        ],
    )
    # Below the table, once for all that one thing puts right, and on a line that can be copied.
    concerned: dict[str, list[str]] = {}
    for row in findings:
        if row["fix"]:
            concerned.setdefault(row["fix"], []).append(row["what"])
    for fix, names in concerned.items():
        session.say(f"{', '.join(names)}: {fix}")
