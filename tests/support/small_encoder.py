"""A fake embedding process: the vector of a text is its length; the text ``exit`` ends it."""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Process requests until the end of the input."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        texts = json.loads(line)["texts"]
        if "exit" in texts:
            print('{"vectors": [[', end="", flush=True)
            os._exit(3)
        if "SIGKILL" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        print(json.dumps({"vectors": [[float(len(text))] for text in texts], "tokens": 0}), flush=True)


if __name__ == "__main__":
    main()
