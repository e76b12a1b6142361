"""Who this host is: its two private keys, in a file that only its user can read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import protocol
from .errors import SetupError

VARIABLE = "PIPELABS_AGENT_IDENTITY"
CREDENTIAL = "pipelabs-agent"
"""The name of the systemd credential."""
DEFAULT = "~/.config/pipelabs-agent/identity.json"
VERSION = 1
EXISTS = "{path} exists. It is this host's identity. To replace it, add --force."


@dataclass(frozen=True)
class Identity:
    """A machine's private keys and the service that it belongs to."""

    url: str
    machine_id: str
    machine_name: str
    signing_key: Ed25519PrivateKey = field(repr=False)
    sealing_key: X25519PrivateKey = field(repr=False)
    path: Path = Path(os.devnull)

    @property
    def signing_public(self) -> bytes:
        """Return the public key that verifies its requests."""
        return self.signing_key.public_key().public_bytes_raw()

    @property
    def sealing_public(self) -> bytes:
        """Return the public key that credentials are sealed to."""
        return self.sealing_key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """Return what an owner compares."""
        return protocol.fingerprint(self.signing_public, self.sealing_public)

    def dump(self) -> bytes:
        """Return the content of the file. It is secret."""
        document = {
            "version": VERSION,
            "url": self.url,
            "machine_id": self.machine_id,
            "machine_name": self.machine_name,
            "signing_key": protocol.encode(self.signing_key.private_bytes_raw()),
            "sealing_key": protocol.encode(self.sealing_key.private_bytes_raw()),
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def find_path(given: str | None = None) -> Path:
    """Return where the identity is.

    The first of: as given, $PIPELABS_AGENT_IDENTITY, the systemd credential `pipelabs-agent` if
    there is one, and the user's configuration.
    """
    if path := given or os.environ.get(VARIABLE):
        return Path(path).expanduser()
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / CREDENTIAL).exists():
        return Path(directory) / CREDENTIAL
    return Path(DEFAULT).expanduser()


def load_identity(path: Path) -> Identity:
    """Return the identity; raise `SetupError` if there is none, or others can read it."""
    try:
        content = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise SetupError(
            f"{path} can't be read: {error.strerror}. Enrol this host first."
        ) from None
    # systemd's copy is protected by its directory.
    if mode & 0o077 and str(path.parent) != os.environ.get("CREDENTIALS_DIRECTORY"):
        raise SetupError(f"Other users can read {path}. Run: chmod 600 {path}")
    try:
        document = json.loads(content)
        return Identity(
            url=str(document["url"]),
            machine_id=str(document["machine_id"]),
            machine_name=str(document["machine_name"]),
            signing_key=Ed25519PrivateKey.from_private_bytes(
                protocol.decode(document["signing_key"])
            ),
            sealing_key=X25519PrivateKey.from_private_bytes(
                protocol.decode(document["sealing_key"])
            ),
            path=path,
        )
    except (ValueError, KeyError, TypeError):
        raise SetupError(f"{path} is not an identity of pipelabs-agent.") from None


class Reservation:
    """A place for a new identity, prepared before the enrolment code is spent."""

    def __init__(self, path: Path, temporary: Path, *, is_forced: bool) -> None:
        self._path = path
        self._temporary = temporary
        self._is_forced = is_forced

    def save(self, identity: Identity) -> None:
        """Write the identity at once or not at all; raise `SetupError`."""
        with self._temporary.open("wb") as file:
            file.write(identity.dump())
            file.flush()
            os.fsync(file.fileno())
        try:
            if self._is_forced:
                self._temporary.replace(self._path)
            else:
                # Unlike a rename, a link never replaces a file.
                os.link(self._temporary, self._path)
        except OSError as error:
            raise SetupError(f"{self._path} can't be written: {error.strerror}.") from None


@contextlib.contextmanager
def reserve(path: Path, *, is_forced: bool = False) -> Iterator[Reservation]:
    """Make sure that an identity can be written to the path, then let it be written.

    Raise `SetupError` if there is one already, unless forced.
    """
    if path.exists() and not is_forced:
        raise SetupError(EXISTS.format(path=path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror}.") from None
    try:
        yield Reservation(path, temporary, is_forced=is_forced)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
