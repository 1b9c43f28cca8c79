"""The documentation's examples, executed in the order of each page.

How a block is marked says what becomes of it: ``python`` and ``sh`` are executed, of ``console`` the options
are checked, of ``py`` the syntax, ``toml`` is read as settings.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from types import CodeType
from typing import Any

import click
import httpx
import nbformat
import pytest
import typer
import yaml
from nbclient import NotebookClient

from lawtags_client.cli.app import app
from lawtags_client.settings import Settings
from lawtags_stack.stack import StackThread

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
KINDS = {"python", "sh", "console", "py", "toml", "yaml", "json", ""}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its mark, where it begins, what it says."""

    kind: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], text[: match.start()].count("\n") + 2, match[2]) for match in found]


def pages(*kinds: str) -> list[Any]:
    chosen = [page for page in PAGES if any(block.kind in kinds for block in blocks(page))]
    return [pytest.param(page, id=page.stem) for page in chosen]


def compiled(block: Block, page: Path) -> CodeType:
    # With the block's place in the page, so that a failure shows the line of the page.
    source = "\n" * (block.line - 1) + block.text
    return compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def test_every_block_says_what_is_to_become_of_it() -> None:
    marks = {page.name: {block.kind for block in blocks(page)} for page in PAGES}
    assert {name: kinds - KINDS for name, kinds in marks.items() if kinds - KINDS} == {}
    fences = sum(page.read_text("utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * sum(len(blocks(page)) for page in PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages("python", "sh"))
def test_page_is_true(page: Path, desk: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in blocks(page):
            if block.kind == "python":
                result = eval(compiled(block, page), namespace)
                if inspect.iscoroutine(result):
                    runner.run(result)
            elif block.kind == "sh":
                subprocess.run(["bash", "-euc", block.text], cwd=desk, stdin=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize("page", pages("py"))
def test_what_is_not_executed_is_python_at_least(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "py" and "--8<--" not in block.text:
            compiled(block, page)


@pytest.mark.parametrize("page", pages("json", "yaml"))
def test_data_of_the_pages_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "json":
            assert all(json.loads(line) for line in block.text.splitlines())
        elif block.kind == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", pages("toml"))
def test_settings_of_the_pages_are_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.kind == "toml":
            (tmp_path / "lawtags.toml").write_text(block.text)
            settings = Settings.load("cluster", environ={}, folder=tmp_path)
            assert settings.platform_url == "https://nemo.example.com"


def test_every_setting_is_explained() -> None:
    told = (DOCS / "settings.md").read_text("utf-8")
    inner = {"sources", "reload", "profile"}
    names = {field.name for field in fields(Settings)} - inner
    assert {name for name in names if f"`{name}" not in told} == set()


@pytest.mark.parametrize("page", pages("console"))
def test_commands_of_the_pages_have_these_options(page: Path, desk: Path) -> None:
    for block in blocks(page):
        for line in block.text.splitlines() if block.kind == "console" else ():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["lawtags"] and words[1:] != ["--install-completion"]:
                parse(words)


def parse(words: list[str]) -> None:
    """Let the command line take options and arguments, and carry out nothing."""
    command: click.Command = typer.main.get_command(app)
    context: click.Context | None = None
    while True:
        context = command.make_context(words[0], list(words[1:]), parent=context)
        if not isinstance(command, click.Group):
            return
        rest = [*context.protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None and name is not None
        command, words = found, [name, *rest]


@pytest.mark.slow
def test_the_three_ways_find_the_same_job(desk: Path, stack: StackThread) -> None:
    said = [by_script(DOCS / "examples" / "asynchronous.py", desk)]
    said.append(by_script(DOCS / "examples" / "blocking.py", desk))
    said.append(by_notebook(DOCS / "notebooks" / "from-rows-to-tags.ipynb", desk))
    (job,) = {line.split()[0] for line in said}
    (model,) = {line.split()[1] for line in said}
    listed = httpx.get(f"{stack.platform_url}/v1/customization/jobs", params={"page_size": 100}).json()
    assert [one["id"] for one in listed["data"] if one["output_model"] == model] == [job]


def by_script(script: Path, folder: Path) -> str:
    """The last line that a script says."""
    command = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()[-1]


def by_notebook(path: Path, folder: Path) -> str:
    """The last line that a notebook says."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    said = [
        output["text"] for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    ]
    return str(said[-1].splitlines()[-1])


def test_notebook_is_kept_without_what_it_said() -> None:
    # The three numbered ones are kept with their outputs: test_notebooks.py.
    for path in sorted((DOCS / "notebooks").glob("[a-z]*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
