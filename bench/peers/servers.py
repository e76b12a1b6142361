"""The peers: how each is served, and whether they are installed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.places import LOCAL
from dev.processes import HOST

FOLDER = LOCAL / "peers"
PYTHON = str(FOLDER / "bin" / "python")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
NO_PEERS = (
    "FastAPI and Django REST framework are not measured. Install them with `make peers`, which"
    " takes a minute."
)
VERSIONED = ("asyncpg", "django", "djangorestframework", "fastapi", "psycopg", "uvicorn")


@dataclass(frozen=True)
class Peer:
    """A framework, and the command that serves its create on a port."""

    name: str
    command: Callable[[int], list[str]]

    @property
    def row(self) -> str:
        """The name of its row in the report."""
        return f"{self.name}, 32 connections"


FASTAPI = Peer(
    "FastAPI",
    lambda port: [
        *(PYTHON, "-m", "uvicorn", "bench.peers.fastapi_app:app", "--workers", "2"),
        *("--host", HOST, "--port", str(port), "--no-access-log"),
    ],
)
DRF = Peer(
    "Django REST framework",
    lambda port: [
        *(PYTHON, "-m", "gunicorn", "bench.peers.drf_app:application"),
        *("--config", "bench/peers/drf_gunicorn.py", "--bind", f"{HOST}:{port}"),
    ],
)
PEERS = (FASTAPI, DRF)


def installed(folder: Path = FOLDER) -> tuple[Peer, ...]:
    """Return the peers, none unless `make peers` has installed them to the end."""
    return PEERS if any(folder.glob(".installed-*")) else ()


def versions(requirements: str) -> Mapping[str, str]:
    """Return the versions of the packages that matter most, from the requirements file."""
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", requirements, re.MULTILINE))
    return {name: pinned[name] for name in VERSIONED}
