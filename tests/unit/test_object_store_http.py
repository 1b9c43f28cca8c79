"""Copies from web servers: what goes wrong is told apart, and signed addresses stay unseen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lawtags_client.errors import DataError, LawtagsError
from lawtags_client.object_store import OnExisting, copy

BODY = b'{"title": "a"}\n' * 1000


@contextmanager
def web_server(status: int = 200, *, sent: int = len(BODY)) -> Iterator[str]:
    """Serve one answer to everything, of whose body only a part may come; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(BODY[:sent])

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def failure(address: str, target: Path) -> LawtagsError:
    with pytest.raises(LawtagsError) as found:
        copy(f"{address}?sig=canary-91", str(target), on_existing=OnExisting.REPLACE)
    shown = f"{found.value} {found.value.hint}"
    assert address in shown
    assert "canary-91" not in shown
    return found.value


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_not_there_does_not_exist(status: int, tmp_path: Path) -> None:
    with web_server(status) as url:
        problem = failure(f"{url}/in/questions.jsonl", tmp_path / "out")
    assert isinstance(problem, DataError)
    assert "does not exist" in str(problem)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_server_that_refuses_is_not_said_to_lack_the_file(status: int, tmp_path: Path) -> None:
    with web_server(status) as url:
        problem = failure(f"{url}/in/questions.jsonl", tmp_path / "out")
    assert f"the server answered {status}" in str(problem)
    # A Job tries again after 1, and not after 2.
    assert problem.exit_code == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/q.jsonl", "http://no-such-host.invalid/q.jsonl"])
def test_a_server_out_of_reach_is_not_said_to_lack_the_file(address: str, tmp_path: Path) -> None:
    problem = failure(address, tmp_path / "out")
    assert not isinstance(problem, DataError)
    assert "does not exist" not in str(problem)


def test_a_connection_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    with web_server(sent=1500) as url:
        failure(f"{url}/q.jsonl", target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfFileSystem

    # The endpoint is read when the library is loaded; its file systems are kept for each one.
    monkeypatch.setattr(
        "fsspec.filesystem", lambda scheme: HfFileSystem(endpoint="http://127.0.0.1:9", token="hf_canary-92")
    )
    with pytest.raises(LawtagsError, match="could not be copied") as found:
        copy("hf://datasets/law/questions/q.jsonl", str(tmp_path / "out"))
    assert "canary-92" not in str(found.value)
