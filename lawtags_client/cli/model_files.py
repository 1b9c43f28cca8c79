"""``lawtags models get``: the files of a tuned model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session


@command
def get(
    session: Session,
    model: Annotated[str, typer.Argument(help="Model or adapter, as lawtags models ls names it.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder; must not exist.")],
) -> None:
    """Fetch adapter or weights of a tuned model. Example: lawtags models get law/tagger --out tagger

    Example, on NeMo Helix: lawtags models get law/tagger-1f0e8a3c --out tagger

    Each file is checked: against its digest, or on NeMo Helix, which has none, against its size. The folder
    appears once it is complete. If the command is interrupted, run it again: what has arrived is kept.

    An adapter works with PEFT, vLLM and NIM. Convert it for NeMo with lawtags models convert.
    """
    from lawtags_client.platform.fetching import fetch_model
    from lawtags_client.platform.model_files import FetchedModel

    async def work() -> FetchedModel:
        async with session.client() as nemo:
            return await fetch_model(nemo, model, out)

    done = session.run(work(), left_behind=f"Run it again to go on with {out}.")
    if session.json:
        session.emit(asdict(done))
        return
    what = "adapter" if done.kind == "adapter" else "weights"
    session.say(f"Fetched the {what} of {model} into {out}: {len(done.files)} files, {done.size:,} bytes.")
