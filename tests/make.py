"""Rows and bodies that are valid unless a test changes them."""

import os
from dataclasses import replace
from datetime import timedelta
from functools import cache
from uuid import uuid4

from pipelabs import passwords
from pipelabs.audit import Actor
from pipelabs.errors import Unauthenticated
from pipelabs.extensions import db
from pipelabs.models import Admin, Bot, Exchange, Role, Session, now
from pipelabs.services.clients import create_client
from pipelabs.services.exchanges import ensure_exchanges
from pipelabs.services.sessions import Claims, sign_in
from pipelabs.symbols import parse
from pipelabs.wallets import Chain, Wallet

PASSWORD = "a-Long-quiet-evening-42"
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
QUICK_CLIENT = "/api/admin/quick-client"


def make_body(**changes):
    return {
        "name": "Client Name",
        "wallet_address": WALLET,
        "email": "email@example.com",
        "tier": "Premium",
        "notes": "High volume trader",
    } | changes


def make_wallet():
    return f"0x{os.urandom(20).hex()}"


def make_data(**changes):
    """What `ClientIn` loads."""
    wallet = Wallet(Chain.EVM, WALLET)
    return make_body(wallet_address=wallet) | changes


def make_actor(**changes):
    actor = Actor("abc12345", "192.0.2.7", "admin@example.com", uuid4(), role=Role.OPERATOR)
    return replace(actor, **changes)


ACTOR = make_actor()
STRANGER = make_actor(name=None, admin_id=None, role=None)


@cache
def hash_of(password):
    return passwords.hash_password(password)


def make_admin(password=PASSWORD, **changes):
    admin = Admin(
        **{
            "email": "owner@desk.local",
            "role": Role.OWNER,
            "password_hash": hash_of(password),
        }
        | changes
    )
    db.session.add(admin)
    db.session.flush()
    return admin


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
    """The exchange as the registry knows it."""
    ensure_exchanges(make_actor())
    exchange = db.session.get_one(Exchange, slug)
    for name, value in changes.items():
        setattr(exchange, name, value)
    db.session.flush()
    return exchange


def make_claims(admin, session, **changes):
    return Claims(admin.id, session.id, admin.token_version)._replace(**changes)


def is_let_in(email, password):
    """Try to sign in."""
    try:
        sign_in(email, password, STRANGER)
    except Unauthenticated:
        return False
    return True


def make_client(**changes):
    """Add a client with a wallet of its own."""
    wallet = Wallet(Chain.EVM, make_wallet())
    return create_client(
        make_data(wallet_address=wallet, email=None, **changes), make_actor()
    ).client


def make_item(symbol="BTC/USDT", exchange="okx", **changes):
    """What `ClientMarketItem` loads."""
    return {
        "symbol": parse(symbol),
        "exchange": exchange,
        "exchange_symbol": None,
        "bot": Bot.MARKET_MAKER,
        "spread_target_bps": None,
        "daily_volume_target": None,
    } | changes
