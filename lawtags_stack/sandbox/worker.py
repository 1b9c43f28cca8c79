"""The sandbox process: ``python -m lawtags_stack.sandbox.worker``.

The given module defines ``OPERATIONS``: functions of one JSON value, by name. A request names an operation
and contains its argument; the response has the result or the error. The process exits when the socket closes.
"""

from __future__ import annotations

import argparse
import importlib
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from lawtags_client.errors import LawtagsError, ResourceLimitError
from lawtags_stack.processes.frames import pack, receive
from lawtags_stack.sandbox import limits

Operation = Callable[[Any], object]


def main(arguments: list[str] | None = None) -> int:
    """Process requests until the socket closes."""
    parser = argparse.ArgumentParser(prog="lawtags-sandbox")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--notes", type=int, required=True)
    parser.add_argument("--operations", required=True)
    parser.add_argument("--patience", type=float, default=1.0)
    options = parser.parse_args(arguments)
    connection = socket.socket(fileno=options.fd)
    operations: Mapping[str, Operation] = importlib.import_module(options.operations).OPERATIONS
    limits.confine(options.notes, options.patience)
    while (message := receive(connection)) is not None:
        connection.sendall(_answered(operations[message["operation"]], message["argument"]))
    return 0


def _answered(operation: Operation, argument: object) -> bytes:
    limits.set_place("")
    try:
        return pack({"result": operation(argument)})
    except LawtagsError as error:
        return _refused(error)
    except MemoryError:
        return _refused(limits.out_of_memory())
    except RecursionError:
        return _refused(limits.too_deep())
    except Exception as error:
        return _refused(LawtagsError(f"Internal error: {type(error).__name__}: {error}"))


def _refused(error: LawtagsError) -> bytes:
    limit = isinstance(error, ResourceLimitError)
    return pack({"error": error.message[:2000], "hint": error.hint, "limit": limit})


if __name__ == "__main__":
    sys.exit(main())
