"""What ``lawtags runs undo`` asks, does and prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.platform import RemovedItem


def carry_out_undo(session: Session, folder: Path, *, yes: bool) -> None:
    """Remove what a run has made on its platform.

    Args:
        session: the command.
        folder: of the run.
        yes: whether not to ask.

    Raises:
        ConfigurationError: it was not confirmed, or the run was made elsewhere.
        LawtagsError: something could not be removed.
    """
    from lawtags_client.platform.choice import run_platform
    from lawtags_client.runs.undo import plan_undo, undo_run

    planned = plan_undo(folder, session.services())
    if not planned.items:
        session.report(f"{folder.name} has nothing on the platform that only it needs")
    for item in () if yes else planned.items:
        session.report(f"{item.kind} {item.name or 'whose ID never arrived'}")
    if (
        planned.items
        and not yes
        and not session.confirm(f"Remove these {len(planned.items)} from the platform?")
    ):
        raise ConfigurationError(
            f"nothing of {folder.name} was removed", hint="Confirm the removal, or add --yes."
        )

    def show(result: RemovedItem) -> None:
        if not session.json:
            session.say(_in_words(result))

    async def work() -> list[RemovedItem]:
        async with session.client() as nemo, run_platform(nemo) as platform:
            return await undo_run(folder, planned, platform, on_removed=show)

    done = session.run(work())
    if session.json:
        session.emit({"run": folder.name, "items": [asdict(each) for each in done]})
    else:
        for result in planned.shared:
            show(result)
    if failed := [each for each in done if each.outcome == "failed"]:
        names = ", ".join(f"{each.what} {each.name}" for each in failed)
        raise LawtagsError(f"not removed: {names}", hint="See the reasons above, then repeat the command.")


def _in_words(result: RemovedItem) -> str:
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.outcome}: {result.what} {result.name}{reason}"
