"""The demo keeps its stack awake through stages that do not need it."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from lawtags_client.cli.demo import IDLE_TIMEOUT, _kept_awake
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@dataclass
class Address:
    platform_url: str


def test_a_stack_is_asked_again_and_again_until_the_demo_ends() -> None:
    asked: list[str] = []
    enough = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) >= 3:
                enough.set()
            self.send_error(503) if len(asked) == 1 else self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = Address(f"http://127.0.0.1:{server.server_port}")
        with _kept_awake(address, every=0.01):  # type: ignore[arg-type]
            assert enough.wait(60), "an error answer does not end it"
        server.shutdown()
    assert len(set(asked)) == 1
    assert IDLE_TIMEOUT >= 600


def test_a_stack_that_is_gone_or_starting_is_no_error() -> None:
    with _kept_awake(Address("http://127.0.0.1:9"), every=0.001):  # type: ignore[arg-type]
        pass
    with _kept_awake(None):
        pass


@pytest.mark.parametrize("dialect", ["v1", "helix"])
def test_a_stack_counts_it_as_use(tmp_path: Path, dialect: str) -> None:
    options = StackOptions(dialect=dialect)  # type: ignore[arg-type]
    with StackThread(tmp_path / "stack", options=options) as stack:
        used = threading.Event()
        touched = stack.stack.activity.ended

        def ended() -> None:
            touched()
            used.set()

        stack.stack.activity.ended = ended  # type: ignore[method-assign]
        with _kept_awake(Address(stack.platform_url), every=0.01):  # type: ignore[arg-type]
            assert used.wait(60)
