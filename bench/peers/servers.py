"""The peers: how each is served, and whether they are installed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dev.places import LOCAL
from dev.processes import HOST

FOLDER = LOCAL / "peers"
PYTHON = str(FOLDER / "bin" / "python")
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


def versions(folder: Path = FOLDER) -> Mapping[str, str]:
    """Return the installed versions of the packages that matter most."""
    paths = [str(path) for path in folder.glob("lib/python*/site-packages")]
    found = {
        package.name.lower(): package.version for package in metadata.distributions(path=paths)
    }
    return {name: found[name] for name in VERSIONED if name in found}
