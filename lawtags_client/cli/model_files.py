"""``lawtags models get``: the files of a tuned model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session

_ON_HELIX = (
    "There, the files of a model or adapter are a fileset, which its entity names. Fetch it from Python: "
    "await helix.filesets.download(FILESET, Path(FOLDER)), with lawtags_client.helix."
)


@command
def get(
    session: Session,
    model: Annotated[str, typer.Argument(help="Name of the model, NS/NAME or NS/NAME@VERSION.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder; must not exist.")],
) -> None:
    """Fetch adapter or weights of a tuned model. Example: lawtags models get law/tagger --out tagger

    Each file is checked against its digest. The folder appears once it is complete. If the command is
    interrupted, run it again: files that were complete are kept.

    An adapter works with PEFT, vLLM and NIM. Convert it for NeMo with lawtags models convert.
    """
    from lawtags_client.platform.choice import require_v1
    from lawtags_client.platform.model_files import FetchedModel, fetch_model

    async def work() -> FetchedModel:
        async with session.client() as nemo:
            await require_v1(nemo, "lawtags models get", _ON_HELIX)
            return await fetch_model(nemo, model, out)

    done = session.run(work(), left_behind=f"Run it again to go on with {out}.")
    if session.json:
        session.emit(asdict(done))
        return
    what = "adapter" if done.kind == "adapter" else "weights"
    session.say(f"Fetched the {what} of {model} into {out}: {len(done.files)} files, {done.size:,} bytes.")
