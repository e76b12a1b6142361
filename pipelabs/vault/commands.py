"""Typed commands of exchange API keys: what a schema loads and a service takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pipelabs.core.commands import UNSET, Unset
from pipelabs.vault.envelope import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredentials:
    """Credentials for a new key, and the notes kept with it. A replacement needs nothing else."""

    credentials: Mapping[str, Secret]
    ip_note: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(NewCredentials):
    """A new key of a client at an exchange."""

    client_id: UUID
    exchange: str
    label: str
    is_testnet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanges:
    """Changes to a key; its credentials can only be replaced."""

    label: str | Unset = UNSET
    ip_note: str | Unset = UNSET
    expires_at: datetime | Unset | None = UNSET
