"""``lawtags copy``: files from and to an object store or the Hub."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.object_store import OnExisting

Existing = Annotated[
    OnExisting, typer.Option("--on-existing", help="For files that exist at the destination.")
]


@command
def copy(
    session: Session,
    source: Annotated[
        str, typer.Argument(help="A file or folder: s3://, gs://, az://, hf:// or https://, or a path.")
    ],
    destination: Annotated[str, typer.Argument(help="Where the copy goes: an address or a path.")],
    on_existing: Existing = OnExisting.FAIL,
) -> None:
    """Copy a file or a folder from or to an object store, with the keys of the environment.

    S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for other stores.
    Google Cloud: GOOGLE_APPLICATION_CREDENTIALS or the identity of the pod; STORAGE_EMULATOR_HOST.
    Azure: AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or the identity
    of the pod. Hub: HF_TOKEN.

    Example: lawtags copy s3://bucket/questions.jsonl questions.jsonl

    Example: lawtags copy tags.jsonl s3://bucket/tags.jsonl --on-existing replace
    """
    import asyncio

    from lawtags_client.object_store import copy as copy_files

    work = asyncio.to_thread(
        copy_files, source, destination, on_existing=on_existing, on_file=lambda name: session.report(name)
    )
    done = session.run(work)
    if session.json:
        session.emit(asdict(done))
    else:
        kept = f"; {done.kept} existed and stayed" if done.kept else ""
        session.say(f"{done.files} files, {done.bytes:,} bytes{kept}")
