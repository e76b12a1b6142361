"""The settings of `make run`: a person's, in the environment or `.env`, and a block of ours."""

import base64
import io
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from dev.errors import CannotStart

BEGIN = "# Written by make run and kept, but the servers' addresses are new at each start."
END = "# End of what make run writes; lines of your own go outside and win."
ADDRESSES = ("DATABASE_URL", "DATABASE_MIGRATION_URL", "REDIS_URL")


@dataclass(frozen=True)
class Settings:
    """What is known before the servers start.

    `given` is what a person set, in the environment or in `.env`; `lines` are theirs in `.env`,
    `made` is our block there.
    """

    path: Path
    given: Mapping[str, str]
    lines: str
    made: Mapping[str, str]

    @property
    def port(self) -> int:
        """The port to serve on; raise `CannotStart` if it is none."""
        text = self.given.get("PORT", "8000")
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            raise CannotStart(f"PORT={text} is not a port: set a number such as PORT=8000.")
        return int(text)

    @property
    def has_demo(self) -> bool:
        """Whether an empty database gets demo clients; never one that a person has named.

        Raise `CannotStart` if DEMO says neither.
        """
        return self._is_on("DEMO", "no demo clients") and "DATABASE_URL" not in self.given

    @property
    def has_stub(self) -> bool:
        """Whether a stub stands for every exchange; not if a person has named one.

        Raise `CannotStart` if STUB says neither.
        """
        is_on = self._is_on("STUB", "keys that are shown to the real exchanges")
        return is_on and "EXCHANGE_BASE_URL" not in self.given

    def _is_on(self, name: str, without: str) -> bool:
        text = self.given.get(name, "1")
        if text not in {"0", "1"}:
            raise CannotStart(f"{name}={text} is neither: set {name}=0 for {without}, or {name}=1.")
        return text == "1"

    def finish(self, started: dict[str, str]) -> dict[str, str]:
        """Write `.env` with the addresses of the servers started, and return all variables."""
        address = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in self.made.items() if key not in ADDRESSES}
        made = _defaults(address) | kept | started
        theirs = _parse(self.lines)
        _write(self.path, self.lines, {k: v for k, v in made.items() if k not in theirs})
        return {**made, **self.given, **started}


def load(path: Path) -> Settings:
    """Read `.env`, which need not be there, and the environment; what is empty counts as unset."""
    text = path.read_text() if path.exists() else ""
    before, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    lines = "\n".join(filter(None, (before.strip(), after.strip())))
    given = {key: value for key, value in {**_parse(lines), **os.environ}.items() if value}
    return Settings(path, given, lines, _parse(block))


def _parse(text: str) -> dict[str, str]:
    return {key: value for key, value in dotenv_values(stream=io.StringIO(text)).items() if value}


def new_ring() -> str:
    """Return a key ring of one random key."""
    return f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _defaults(address: str) -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "VAULT_KEYS": new_ring(),
        "CORS_ORIGINS": address,
        "FIRST_OWNER_EMAIL": "owner@desk.local",
        "FIRST_OWNER_PASSWORD": secrets.token_urlsafe(18),
        "AUDIT_LOG_FILE": "./client_creation.log",
    }


def _write(path: Path, lines: str, made: Mapping[str, str]) -> None:
    """Replace the file in one step; nobody else may read it at any time."""
    block = "\n".join(f"{key}={_quoted(value)}" for key, value in made.items())
    fresh = path.parent / ".local" / "env.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(filter(None, (lines, BEGIN, block, END))) + "\n")
    fresh.replace(path)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./:@+=,-]*", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
