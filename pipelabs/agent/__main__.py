"""Run the command line as `python -m pipelabs_agent`."""

from __future__ import annotations

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
