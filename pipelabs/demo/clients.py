"""Demo clients, and an admin of each role with a password.

The clients are the same at every run. Their wallet addresses are hashes, so no private key exists
for them.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from pipelabs.accounts import admins
from pipelabs.clients.address_codecs import base58_encode, base58check_encode, segwit_encode
from pipelabs.clients.schemas import ClientIn, NewClient
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
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
Granary Asset Management | Tamarind Protocol
東京流動性提供合同会社 | 上海恒流数字资产做市有限公司 | 한강디지털자산운용
شركة الواحة لتداول الأصول الرقمية | קרן אופק לנכסים דיגיטליים | Ελληνική Ρευστότητα
Donaudampfschifffahrts-Elektrizitäten-Hauptbetriebswerk-Bauunterbeamten-Kryptohandel GmbH
The Honourable Company of Merchant Adventurers and Market Makers Trading into the Digital Assets \
of the North Sea, the Baltic, the Levant and the Indies, incorporating Copperfield, \
Zenith Perpetual, the Aurelia Foundation and Sable Row & Daughters Limited
"""
"""The last is as long as a name may be. Some are of other scripts, two of which are written from
right to left."""
STRIDES = {"tier": 37, "status": 59, "address": 83, "note": 7}
"""Steps through lists of 100. Each is coprime to 100, so every entry is used exactly once."""
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
HOST_LENGTH = 40
SCHEMA = ClientIn()
NO_EMAIL_EVERY = 8
"""Every eighth client has no e-mail address."""


@dataclass(frozen=True, slots=True)
class DemoClient:
    """The body that creates a demo client, and its status at the end."""

    number: int
    body: dict[str, Any]
    status: Status

    @property
    def command(self) -> NewClient:
        """Return the command that creates the client."""
        command: NewClient = SCHEMA.load(self.body)
        return command


@dataclass(frozen=True, slots=True)
class DemoAdmin:
    """A demo admin. Only a new one has a `password`, which is stored nowhere."""

    email: str
    role: Role
    password: str | None = field(repr=False)


def demo_clients() -> list[DemoClient]:
    """Return the 100 demo clients, the same at every run."""
    names = [name.strip() for name in re.split(r"[|\n]", NAMES.strip())]
    return [_demo_client(number, name) for number, name in enumerate(names)]


def has_demo_clients(clients: Sequence[DemoClient]) -> bool:
    """Return whether one of the demo clients is stored."""
    wallets = [client.command.wallet_address.address for client in clients]
    query = select(Client.id).where(Client.wallet_address.in_(wallets)).limit(1)
    return db.session.scalar(query) is not None


def drop_taken(clients: Sequence[DemoClient]) -> list[DemoClient]:
    """Return the clients whose e-mail address no stored client has."""
    emails = [client.body["email"] for client in clients]
    taken = set(db.session.scalars(select(Client.email).where(Client.email.in_(emails))))
    return [client for client in clients if client.body["email"] not in taken]


def ensure_admins(actor: Actor) -> list[DemoAdmin]:
    """Create an admin of each role with a random password; existing admins stay as they are."""
    return [_ensure_admin(role, f"{role}@desk.local", actor) for role in reversed(Role)]


def has_clients() -> bool:
    """Return whether any client exists, demo or not."""
    return db.session.scalar(select(Client.id).limit(1)) is not None


def _demo_client(number: int, name: str) -> DemoClient:
    status = STATUSES[_pick("status", number)]
    notes = NOTES[status]
    has_email = number % NO_EMAIL_EVERY != NO_EMAIL_EVERY - 1
    body = {
        "name": name,
        "wallet_address": ADDRESSES[_pick("address", number)](_digest(number)),
        "email": f"{MAILBOXES[number % len(MAILBOXES)]}@{_host(name, number)}"
        if has_email
        else None,
        "tier": TIERS[_pick("tier", number)].value,
        "notes": notes[_pick("note", number) % len(notes)],
    }
    return DemoClient(number, body, status)


def _pick(what: str, number: int) -> int:
    return number * STRIDES[what] % 100


def _digest(number: int) -> bytes:
    return hashlib.sha256(f"pipelabs demo {number}".encode()).digest()


def _host(name: str, number: int) -> str:
    """Return a host name that cannot be registered (RFC 2606, section 2)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z]+", "-", plain.replace("'", ""))[:HOST_LENGTH].strip("-")
    return f"{words or f'client-{number}'}.example"


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
