"""Factories of valid rows and request bodies; keyword arguments change single fields."""

import base64
import os
from dataclasses import replace
from datetime import timedelta
from functools import cache
from uuid import uuid4

from pipelabs.accounts import passwords
from pipelabs.accounts.sessions import Claims, sign_in
from pipelabs.clients.schemas import ClientIn
from pipelabs.clients.service import create_client
from pipelabs.clients.wallets import recognise
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Unauthenticated
from pipelabs.exchanges.service import ensure_exchanges
from pipelabs.markets.schemas.client_markets import NewClientMarket
from pipelabs.markets.symbols import parse
from pipelabs.models import Admin, Bot, Client, Exchange, ExchangeAPIKey, Role, Session, now
from pipelabs.models.envelopes import Envelope
from pipelabs.vault.commands import NewCredentials
from pipelabs.vault.envelope import Secret
from pipelabs.vault.examination import ProbeResult
from pipelabs.vault.probe import KeyPermission
from pipelabs.vault.records import store_key

PASSWORD = "a-Long-quiet-evening-42"
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
CANARY = "canary-7f3b1d90c4e8462aa5c1-canary"
"""A secret that must never leak."""
QUICK_CLIENT = "/api/admin/quick-client"


def make_body(**changes):
    return {
        "name": "Client Name",
        "wallet_address": WALLET,
        "email": "email@example.com",
        "tier": "Premium",
        "notes": "High volume trader",
    } | changes


def make_vault_keys():
    """Return a value for VAULT_KEYS with one random key."""
    return f"1:{base64.b64encode(os.urandom(32)).decode()}"


def make_wallet():
    return f"0x{os.urandom(20).hex()}"


def make_new_client(**changes):
    return replace(ClientIn().load(make_body()), **changes)


def make_actor(**changes):
    actor = Actor("abc12345", "192.0.2.7", "admin@example.com", uuid4(), role=Role.OPERATOR)
    return replace(actor, **changes)


ACTOR = make_actor()
ANONYMOUS = make_actor(name=None, admin_id=None, role=None)


@cache
def hash_password(password):
    return passwords.hash_password(password)


def make_admin(password=PASSWORD, **changes):
    admin = Admin(
        **{
            "email": "owner@desk.local",
            "role": Role.OWNER,
            "password_hash": hash_password(password),
        }
        | changes
    )
    db.session.add(admin)
    db.session.flush()
    return admin


def act_as(admin):
    """Return the admin as an actor."""
    return make_actor(admin_id=admin.id, name=admin.email, role=admin.role)


def make_owner(name="owner"):
    """Add an owner and return it as an actor."""
    return act_as(make_admin(email=f"{name}@desk.local"))


def make_session(admin, **changes):
    session = Session(
        **{
            "admin_id": admin.id,
            "address": "192.0.2.7",
            "refresh_jti": uuid4(),
            "expires_at": now() + timedelta(hours=12),
            "seen_at": now(),
        }
        | changes
    )
    db.session.add(session)
    db.session.flush()
    return session


def make_exchange(slug="okx", **changes):
    """Add all exchanges and return one with changes."""
    ensure_exchanges(make_actor())
    exchange = db.session.get_one(Exchange, slug)
    for name, value in changes.items():
        setattr(exchange, name, value)
    db.session.flush()
    return exchange


def make_credentials(**changes):
    parts = {"api_key": "okx-key-4711", "api_secret": CANARY, "passphrase": "a passphrase"}
    return {part: Secret(text) for part, text in (parts | changes).items()}


def make_key(client=None, exchange="okx", result=None, **changes):
    """A stored key; `credentials` and the rest of `changes` are the row's."""
    credentials = changes.pop("credentials", None) or make_credentials()
    client_id = (client or make_client()).id
    key = ExchangeAPIKey(client_id=client_id, exchange=exchange, label="main", is_testnet=False)
    for name, value in changes.items():
        setattr(key, name, value)
    new = NewCredentials(
        credentials=credentials,
        ip_note=changes.get("ip_note", ""),
        expires_at=changes.get("expires_at"),
    )
    store_key(key, new, result or make_probe_result(read="yes", trade="yes", withdraw="no"))
    return key


def flip_bit(sealed, place):
    """The same sealed text with one bit changed."""
    blob = bytearray(sealed.blob)
    blob[place] ^= 1
    return Envelope(bytes(blob))


def make_probe_result(failure=None, expires_at=None, **verdicts):
    """The result of a probe; a permission that is not given is unknown."""
    permissions = {
        permission.value: {"verdict": verdicts.get(permission.value, "unknown"), "evidence": None}
        for permission in KeyPermission
    }
    return ProbeResult(permissions, failure, None, expires_at, 12.5)


def make_claims(admin, session, **changes):
    return Claims(admin.id, session.id, admin.token_version)._replace(**changes)


def can_sign_in(email, password):
    """Return whether signing in succeeds."""
    try:
        sign_in(email, password, ANONYMOUS)
    except Unauthenticated:
        return False
    return True


def add_client(actor=None, **changes):
    """Create a client and return it."""
    return Client(**create_client(make_new_client(**changes), actor or make_actor()).client)


def make_client(**changes):
    """Add a client with a random wallet."""
    return add_client(wallet_address=recognise(make_wallet()), email=None, **changes)


def make_item(symbol="BTC/USDT", exchange="okx", **changes):
    item = NewClientMarket(
        symbol=parse(symbol),
        exchange=exchange,
        exchange_symbol=None,
        bot=Bot.MARKET_MAKER,
        spread_target_bps=None,
        daily_volume_target=None,
    )
    return replace(item, **changes)
