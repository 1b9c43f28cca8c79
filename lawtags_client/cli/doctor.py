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
    """Check the services, the installed extras and the disk; each finding says what to do.

    Example: lawtags doctor --profile cluster
    """
    from lawtags_client.platform.checks import check_extras, check_place, check_services

    session = Session(as_json, profile, verbose, no_input)

    async def work() -> list[dict[str, Any]]:
        try:
            async with session.client() as nemo:
                return await check_services(nemo)
        except ConfigurationError as problem:
            return [{"what": "settings", "state": "failed", "finding": problem.message, "fix": problem.hint}]

    findings = [*check_place(), *check_extras(), *session.run(work())]
    if as_json:
        session.emit(findings)
    else:
        from rich.text import Text

        colours = {"ok": "green", "missing": "yellow"}
        session.table(
            ("what", "state", "finding", "what to do"),
            [
                (
                    row["what"],
                    Text(row["state"], colours.get(row["state"], "red")),
                    row["finding"],
                    row["fix"],
                )
                for row in findings
            ],
        )
    broken = [row["what"] for row in findings if row["state"] == "failed"]
    if broken:
        raise LawtagsError(f"not in order: {', '.join(broken)}", hint="See the last column above.")
