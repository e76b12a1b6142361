"""The demo: clients as a real book has them, and an admin of each role, to try things with.

The clients are the same at every run, addresses included, so that a second run finds them there.
Nobody holds the keys of these addresses: each is the hash of a sentence.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from sqlalchemy import select

from pipelabs.accounts import admins
from pipelabs.clients import service as clients
from pipelabs.clients.address_codecs import base58_encode, base58check_encode, segwit_encode
from pipelabs.clients.schemas import ClientIn
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate
from pipelabs.models import Admin, Client, Role, Status, Tier

NAMES = """
Alder Peak Trading | Halcyon Protocol | Basalt & Finch Capital | Lumenfield Labs | Nordkyn Quant
Tessera Network | Bramble Street Partners | Ostrava DeFi | Kestrel Bay Markets | Moonwharf Games
Quillon Digital Assets | Verdant Chain | Saltmarsh Capital | Paperlane Finance | Orrery Research
Driftglass DAO | Cobalt Row Securities | Nimbus Ledger | Hartwell Arbitrage | Zephyrine Token
Ironbridge OTC | Glasswing Protocol | Mirador Family Office | Sundial Network | Pelham Crypto Fund
Larkspur Finance | Tidewater Execution | Octavine Labs | Fjordlight Capital | Anthracite Exchange
Kōyō Markets | Prismatic Bridge | O'Donovan Trading | Emberfall Studios | Westerly Quant Partners
Solstice Yield | Marrow & Pike | Cinderpath Protocol | Beacon Hill Digital | Rookery Staking
Calder Valley Trading | Hexaline Network | Stonecrop Ventures | Ravenna Liquidity | Blue Heron Fund
Aperture Chain | Thornbury Capital | Wavelet Foundation | Castellan OTC | Fennel Games
Müller & Söhne Handel | Opaline Protocol | Gristmill Partners | Parallax DEX | Longacre Trading
Amberjack Finance | Tarn Systematic | Velvet Harbour DAO | Sextant Asset Management | Pollen Network
Redwater Capital | Kitefin Labs | Eastgate Brokers | Chrysalis Token | Lodestar Arbitrage
Mistral Foundation | Cairn Digital | Honeycomb Storage | Bishop & Vale Markets | Nacre Protocol
Ashgrove Treasury | Ultramar Network | Ploughshare Capital | Vireo Payments | Dovetail Trading
Obsidian Oracle | Hollow Oak Fund | Meridian Swap | Turnstile Securities | Skylark Games
Flintlock Quant | Cascadia Chain | Brightwell Partners | Lattice Compute | Farrier Street Capital
Selenite Finance | Polder Trading | Everglade DAO | Whitcombe OTC | Photon Rollup
Granary Asset Management | Tamarind Protocol | Northing Execution | Juniper Pay | Oriel Capital
Mangrove Bridge | Sable Row Markets | Aurelia Foundation | Copperfield Digital | Zenith Perpetuals
"""
STRIDES = {"tier": 37, "status": 59, "address": 83, "note": 7}
"""None has a divisor in common with 100, so a list of 100 is dealt out whole, each in its order."""
TIERS = 41 * [Tier.BASIC] + 39 * [Tier.STANDARD] + 14 * [Tier.PREMIUM] + 6 * [Tier.ENTERPRISE]
STATUSES = (
    83 * [Status.ACTIVE] + 10 * [Status.PAUSED] + 4 * [Status.SUSPENDED] + 3 * [Status.OFFBOARDED]
)
NOTES = {
    Status.ACTIVE: (
        "",
        "Two-sided quotes around the clock, 2 % depth of 50,000 USDT a side.",
        "Spread at most 40 bps; weekly report on Mondays.",
        "Lends us the inventory; recall with 5 days' notice.",
        "",
        "Second listing planned, ask before quoting a new exchange.",
        "Prefers Telegram. Treasurer signs off changes of size.",
        "High volume trader",
        "Came through Kestrel Bay's introduction.\nReview the fee after three months.",
        "",
    ),
    Status.PAUSED: ("Paused at their wish until the token unlock.", "Waits for new inventory."),
    Status.SUSPENDED: ("Compliance review of the wallet's inflows.", "Two invoices are overdue."),
    Status.OFFBOARDED: ("Contract ended; inventory returned.",),
}
MAILBOXES = ("ops", "treasury", "trading", "desk", "finance")
EMAILLESS = 8
"""Every eighth has no e-mail address."""


@dataclass(frozen=True, slots=True)
class DemoClient:
    """What is sent to create it, and the status that it has by now."""

    body: dict[str, Any]
    status: Status


@dataclass(frozen=True, slots=True)
class DemoAdmin:
    """An admin of the demo; `password` is there for who was just created, and nowhere else."""

    email: str
    role: Role
    password: str | None = field(repr=False)


def demo_clients() -> list[DemoClient]:
    """Return the 100 clients of the demo, always the same."""
    names = [name.strip() for name in re.split(r"[|\n]", NAMES.strip())]
    return [_demo_client(number, name) for number, name in enumerate(names)]


def ensure_client(demo: DemoClient, actor: Actor) -> bool:
    """Create the client; return False if its wallet or its e-mail address is there already."""
    # One actor makes a hundred; each is timed from its own beginning.
    actor = replace(actor, started=perf_counter())
    try:
        client = clients.create_client(ClientIn().load(demo.body), actor).client
    except Duplicate:
        return False
    if demo.status != client.status:
        clients.change_status(client.id, demo.status, actor)
    return True


def ensure_admins(actor: Actor) -> list[DemoAdmin]:
    """Create an admin of each role under a random password; who is there is left alone."""
    return [_ensure_admin(role, f"{role}@desk.local", actor) for role in reversed(Role)]


def has_clients() -> bool:
    """Return whether there is any client, of the demo or not."""
    return db.session.scalar(select(Client.id).limit(1)) is not None


def _demo_client(number: int, name: str) -> DemoClient:
    status = STATUSES[_dealt("status", number)]
    notes = NOTES[status]
    has_email = number % EMAILLESS != EMAILLESS - 1
    body = {
        "name": name,
        "wallet_address": ADDRESSES[_dealt("address", number)](_digest(number)),
        "email": f"{MAILBOXES[number % len(MAILBOXES)]}@{_host(name)}" if has_email else None,
        "tier": TIERS[_dealt("tier", number)].value,
        "notes": notes[_dealt("note", number) % len(notes)],
    }
    return DemoClient(body, status)


def _dealt(what: str, number: int) -> int:
    return number * STRIDES[what] % 100


def _digest(number: int) -> bytes:
    return hashlib.sha256(f"pipelabs demo {number}".encode()).digest()


def _host(name: str) -> str:
    """Return a host that nobody can own (RFC 2606, 2)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z]+", "-", plain.replace("'", "")) + ".example"


def _ensure_admin(role: Role, email: str, actor: Actor) -> DemoAdmin:
    password = secrets.token_urlsafe(18)
    if admins.ensure_admin(email, role, password, actor):
        return DemoAdmin(email, role, password)
    stored = db.session.scalars(select(Admin.role).where(Admin.email == email)).one()
    return DemoAdmin(email, stored, None)


def _evm(digest: bytes) -> str:
    return f"0x{digest[:20].hex()}"


def _segwit(version: int, size: int) -> Callable[[bytes], str]:
    """Return a function that makes Bitcoin addresses of this witness version and length."""
    return lambda digest: segwit_encode("bc", version, digest[:size])


def _base58check(version: int) -> Callable[[bytes], str]:
    """Return a function that makes addresses of this version byte and a 20-byte hash."""
    return lambda digest: base58check_encode(bytes([version]) + digest[:20])


ADDRESSES: list[Callable[[bytes], str]] = (
    52 * [_evm]
    + 22 * [base58_encode]  # Solana
    + 9 * [_segwit(0, 20)]
    + 3 * [_segwit(1, 32)]  # Taproot
    + 2 * [_base58check(0x00)]  # Bitcoin's oldest kind, 1…
    + 2 * [_base58check(0x05)]  # pay to script hash, 3…
    + 10 * [_base58check(0x41)]  # Tron, T…
)
