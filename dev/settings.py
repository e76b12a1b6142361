"""The settings of `make run`: a person's, in the environment or `.env`, and a block of ours."""

import base64
import hashlib
import io
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from dev.errors import CannotStart
from dev.places import ENV_BEGIN, ENV_END, split_env_file
from dev.processes import run

BEGIN = f"{ENV_BEGIN} and kept, except the servers' addresses, which change at each start."
END = f"{ENV_END}. Put your own lines outside this block; they take precedence."
ADDRESSES = ("DATABASE_URL", "DATABASE_MIGRATION_URL", "REDIS_URL")
STAND_INS = {
    "DATABASE_URL": "postgresql://pipelabs@127.0.0.1:5432/pipelabs",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}
"""For checking the other settings before the servers have addresses."""
NAME = re.compile(r"\b[A-Z][A-Z0-9_]+\b")


@dataclass(frozen=True)
class Settings:
    """What is known before the servers start.

    `given` is what a person set, in the environment or in `.env`. `lines` are theirs in `.env`,
    `made` is our block there. `origins` says where each setting is set. The file `is_edited` if it
    is not as the last start wrote it.
    """

    path: Path
    given: Mapping[str, str]
    lines: str
    made: Mapping[str, str]
    origins: Mapping[str, str]
    is_edited: bool

    @property
    def port(self) -> int:
        """The port to serve on; raise `CannotStart` if it is invalid."""
        text = self.given.get("PORT", "8000")
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            sentence = f"PORT={text} is not a port number. Set one such as PORT=8000."
            raise CannotStart(self.explain(sentence))
        return int(text)

    @property
    def has_demo(self) -> bool:
        """Whether an empty database gets demo data; never a database that a person named.

        Raise `CannotStart` if DEMO is invalid.
        """
        return self._is_on("DEMO", "to load no demo data") and "DATABASE_URL" not in self.given

    @property
    def has_stub(self) -> bool:
        """Whether a stub simulates the exchanges; not if a person named another one.

        Raise `CannotStart` if STUB is invalid.
        """
        is_on = self._is_on("STUB", "to use the real exchanges")
        return is_on and "EXCHANGE_BASE_URL" not in self.given

    def _is_on(self, name: str, effect: str) -> bool:
        text = self.given.get(name, "1")
        if text not in {"0", "1"}:
            sentence = f"{name}={text} is not valid. Set {name}=0 {effect}, else {name}=1."
            raise CannotStart(self.explain(sentence))
        return text == "1"

    def check(self) -> None:
        """Raise `CannotStart` if a setting is invalid, and say where it is set.

        The application, which takes a second to load, checks a file that was edited since the last
        start. It checks the environment later, when it migrates.
        """
        _ = self.port, self.has_demo, self.has_stub
        if not self.is_edited:
            return
        environment = {**os.environ, **STAND_INS, **self._variables(), **self.given}
        try:
            run([sys.executable, "-c", "import wsgi"], environment)
        except CannotStart as error:
            raise CannotStart(self.explain(str(error))) from None

    def explain(self, text: str) -> str:
        """Add to a text where the settings that it names are set."""
        names = sorted(self.origins.keys() & NAME.findall(text))
        return "\n".join([text, *(f"{name} is set in {self.origins[name]}." for name in names)])

    def finish(self, started: Mapping[str, str]) -> dict[str, str]:
        """Write `.env` with the addresses of the servers started, and return all variables."""
        made = {**self._variables(), **started}
        own = _parse(self.lines)
        written = _write(self.path, self.lines, {k: v for k, v in made.items() if k not in own})
        _checksum_file(self.path).write_text(_checksum(written))
        return {**made, **self.given, **started}

    def _variables(self) -> dict[str, str]:
        """Return the values that we choose, of which those in `.env` are kept."""
        kept = {key: value for key, value in self.made.items() if key not in ADDRESSES}
        return _defaults(f"http://127.0.0.1:{self.port}") | kept


def load(path: Path) -> Settings:
    """Read `.env`, which may be missing, and the environment; what is empty counts as unset.

    Raise `CannotStart` if a line of the file cannot be read.
    """
    text = path.read_text() if path.exists() else ""
    origins: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        # a binding begins with the empty lines before it
        empty = len(binding.original.string) - len(binding.original.string.lstrip("\n"))
        place = f"{path.name}, line {binding.original.line + empty}"
        if binding.error:
            raise CannotStart(f"{place} can't be read. Write it as NAME=value.")
        if binding.key:
            origins[binding.key] = place
    lines, block = split_env_file(text)
    environment = {key: value for key, value in os.environ.items() if value}
    origins |= dict.fromkeys(environment, "the environment")
    written = _checksum_file(path)
    is_edited = bool(text) and not (written.exists() and written.read_text() == _checksum(text))
    given = {**_parse(lines), **environment}
    return Settings(path, given, lines, _parse(block), origins, is_edited)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum_file(path: Path) -> Path:
    return path.parent / ".local" / "env.sha256"


def _parse(text: str) -> dict[str, str]:
    return {key: value for key, value in dotenv_values(stream=io.StringIO(text)).items() if value}


def _defaults(address: str) -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "VAULT_KEYS": f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "CORS_ORIGINS": address,
        "FIRST_OWNER_EMAIL": "owner@desk.local",
        "FIRST_OWNER_PASSWORD": secrets.token_urlsafe(18),
        "AUDIT_LOG_FILE": "./client_creation.log",
    }


def _write(path: Path, lines: str, made: Mapping[str, str]) -> str:
    """Replace the file in one step, never readable by another user; return its text."""
    block = "\n".join(f"{key}={_quoted(value)}" for key, value in made.items())
    text = "\n".join(filter(None, (lines, BEGIN, block, END))) + "\n"
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
    return text


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./:@+=,-]*", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
