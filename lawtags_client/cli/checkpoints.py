"""``lawtags models convert`` and ``lawtags models inspect``: checkpoints on this machine."""

from __future__ import annotations

import enum
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session

if TYPE_CHECKING:
    from lawtags_client.checkpoints.inspection import Inspected


class CheckpointKind(enum.StrEnum):
    """What can be made."""

    HF = "hf"
    PEFT = "peft"
    NEMO1 = "nemo1"
    NEMO2 = "nemo2"


def register(app: typer.Typer) -> None:
    """Add the commands to ``lawtags models``."""
    app.command("inspect")(inspect)
    app.command("convert")(convert)


Source = Annotated[
    Path, typer.Argument(help="A Hugging Face, PEFT or NeMo 2 folder, or a .nemo archive.", metavar="SOURCE")
]


@command
def inspect(
    session: Session,
    source: Source,
    tensors: Annotated[bool, typer.Option("--tensors", help="List the tensors, too.")] = False,
) -> None:
    """Show what is in a checkpoint, and check it. Example: lawtags models inspect gemma-2-2b.nemo

    The weights are not loaded, and no code in the checkpoint is run.
    """
    from lawtags_client.checkpoints.detection import NAMES
    from lawtags_client.checkpoints.inspection import inspect_checkpoint

    found = inspect_checkpoint(source)
    if session.json:
        session.emit(
            {
                "path": str(source),
                "kind": found.kind,
                "parameters": found.numbers,
                "rank": found.rank,
                "architecture": None if found.made is None else asdict(found.made),
                "tensors": [asdict(each) for each in found.tensors],
            }
        )
        return
    session.say(f"{source}: {NAMES[found.kind]}")
    session.table(("what", "value"), _facts(found))
    if tensors:
        rows = [(each.name, each.dtype, " x ".join(map(str, each.shape))) for each in found.tensors]
        session.table(("tensor, as Hugging Face names it", "type", "shape"), rows)


def _facts(found: Inspected) -> list[tuple[str, str]]:
    made = found.made
    rows = [("parameters", f"{found.numbers:,}")]
    rows += [("adapter", f"LoRA of rank {found.rank}")] if found.rank is not None else []
    rows += [("type", ", ".join(sorted({each.dtype for each in found.tensors})))]
    if made is None:
        return rows
    return [
        ("family", made.family),
        *rows,
        ("layers", f"{made.layers:,}"),
        ("hidden, feed-forward", f"{made.hidden:,}, {made.feed_forward:,}"),
        ("heads, groups, head size", f"{made.heads}, {made.groups}, {made.head_size}"),
        ("vocabulary", f"{made.vocabulary:,}"),
        ("output layer", "the embedding" if made.tied else "its own"),
        ("longest sequence", f"{made.positions:,}"),
    ]


@command
def convert(
    session: Session,
    source: Source,
    target: Annotated[
        Path, typer.Argument(help="The new folder or .nemo archive; must not exist.", metavar="TARGET")
    ],
    to: Annotated[
        CheckpointKind,
        typer.Option(
            "--to",
            help="hf: Hugging Face folder. peft: adapter folder. nemo1: .nemo archive. nemo2: NeMo 2 folder.",
        ),
    ],
    base: Annotated[
        Path | None,
        typer.Option("--base", help="For a PEFT adapter: the folder of its model, or its config.json."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            help="For nemo1: name of the tokenizer on Hugging Face, if there is no tokenizer.model.",
        ),
    ] = None,
    multiple: Annotated[
        int,
        typer.Option(
            "--vocabulary-multiple",
            min=1,
            max=1 << 16,
            help="For nemo1 and nemo2: pad the embedding with zeros to a multiple of this many rows.",
        ),
    ] = 1,
    shard_size: Annotated[
        float,
        typer.Option(
            "--shard-size", min=0.001, max=1e6, help="For hf: longest file of weights, in GB of 10^9 bytes."
        ),
    ] = 5.0,
) -> None:
    """Convert a checkpoint. Example: lawtags models convert gemma-2-2b gemma-2-2b.nemo --to nemo1

    Llama and Gemma 2, and LoRA adapters of them. Every number keeps its bits. The weights are copied piece
    by piece: a few megabytes of memory are enough for any size. No code in the checkpoint is run.

    An existing target is refused. If the command is interrupted, nothing appears under the target's name.
    """
    from lawtags_client.checkpoints import conversion
    from lawtags_client.checkpoints.detection import NAMES

    done = conversion.convert(
        source,
        target,
        to.value,
        base=base,
        tokenizer=tokenizer,
        multiple=multiple,
        shard_bytes=int(shard_size * 1e9),
    )
    if session.json:
        session.emit(asdict(done))
        return
    session.say(
        f"Converted the {NAMES[done.source]} {source} into the {NAMES[done.kind]} {target}:"
        f" {done.tensors:,} tensors, {done.numbers:,} parameters."
    )
