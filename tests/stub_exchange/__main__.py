"""`python -m tests.stub_exchange [--port 9100]`, or `--keys okx` for keys to paste into a form."""

import argparse
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from tests.stub_exchange import SLUGS, keys, running


def main(words: Sequence[str]) -> int:
    """Serve until Ctrl-C, or print an exchange's keys."""
    parser = argparse.ArgumentParser(prog="python -m tests.stub_exchange", description=main.__doc__)
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--keys", choices=SLUGS, metavar="SLUG", help="one of " + ", ".join(SLUGS))
    options = parser.parse_args(words)
    if options.keys:
        print("\n\n".join(_format(key) for key in keys(options.keys).values()))
        return 0
    with running(options.port) as stub, suppress(KeyboardInterrupt):
        print(f"The stub exchange is at {stub.base_url}/<slug>; Ctrl-C stops it.", flush=True)
        threading.Event().wait()
    return 0


def _format(credentials: dict[str, str]) -> str:
    return "\n".join(f"{name:<10} {value.rstrip()}" for name, value in credentials.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
