"""The stack that a demo starts: taken over after a kill, left alone while someone uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lawtags_client.cli.demo import _stack
from lawtags_client.cli.session import Session
from lawtags_client.cli.stack_launch import StackLaunch
from lawtags_client.errors import BusyError
from lawtags_stack.control import running, stop


def test_a_demo_stops_the_stack_that_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with _stack(folder, Session()):
        assert running(folder)
    assert running(folder) is None


def test_a_second_demo_leaves_the_first_ones_stack_running(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with _stack(folder, Session()):
        with pytest.raises(BusyError), _stack(folder, Session()):
            raise BusyError("run 'demo' is in use")
        assert running(folder)
    assert running(folder) is None


def test_a_stack_left_by_a_killed_demo_is_taken_over_and_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    killed = _stack(folder, Session())
    killed.__enter__()  # and never left, as after a kill
    pid = running(folder)
    with _stack(folder, Session()):
        assert running(folder) == pid
    assert running(folder) is None


def test_a_stack_of_the_users_own_is_used_and_left(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    StackLaunch(dir=folder, port=0).detach()
    try:
        with _stack(folder, Session()):
            pass
        assert running(folder)
    finally:
        stop(folder)
