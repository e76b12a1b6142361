from sqlalchemy import text, update

from pipelabs.core.db import db
from pipelabs.doctor.findings import Severity
from pipelabs.models import Client, TokenPair
from tests.each import each
from tests.factories import make_admin, make_client, make_session


@each(
    ("changes", "parts"),
    [
        ({"name": "Two  spaces"}, "name 1"),
        ({"name": "<b>bold</b>"}, "name 1"),
        ({"name": "a\u202eb"}, "name 1"),
        ({"wallet_address": "0x52908400098527886e0f7030069857d2e4169eE7"}, "wallet_address 1"),
        ({"wallet_address": "0x52908400098527886e0f7030069857d2e4169ee7"}, "wallet_address 1"),
        ({"wallet_address": "0x0000000000000000000000000000000000000000"}, "wallet_address 1"),
        ({"chain": "tron", "wallet_address": "not-a-wallet"}, "wallet_address 1"),
        ({"chain": "bitcoin"}, "wallet_address 1"),
        ({"email": "somebody"}, "email 1"),
        ({"notes": "<script>", "email": "x@y@z"}, "email 1, notes 1"),
    ],
)
def test_a_client_that_would_be_rejected_today_is_found_alone(app, examined, changes, parts):
    with app.app_context():
        wanted = make_client()
        make_client()
        db.session.execute(update(Client).where(Client.id == wanted.id).values(**changes))
        db.session.commit()

    found = examined()
    with app.app_context():
        db.session.execute(text("DELETE FROM clients"))
        db.session.commit()

    assert [(one.check, one.severity) for one in found] == [("clients", Severity.WARNING)]
    assert found[0].message.startswith(
        f"1 client would be rejected today ({parts}). The first is {wanted.id}."
    )


def add_pair(**changes):
    pair = TokenPair(**{"base_asset": "PEPE", "quote_asset": "USDT"} | changes)
    db.session.add(pair)
    db.session.commit()
    return pair.id


@each("base", ["\u0440\u0435\u0440\u0435", "B\u0422C"])
def test_a_token_pair_that_could_not_be_entered_today_is_found_alone(app, examined, base):
    """PostgreSQL knows no letters of other scripts, so it lets these through."""
    with app.app_context():
        add_pair()
        wrong = add_pair(base_asset=base)

    found = examined()
    with app.app_context():
        db.session.execute(text("DELETE FROM token_pairs"))
        db.session.commit()

    assert [(one.check, one.severity) for one in found] == [("token_pairs", Severity.WARNING)]
    assert f"The first is {wrong}." in found[0].message


def sign_in_from(*addresses):
    for number, address in enumerate(addresses):
        make_session(make_admin(email=f"admin-{number}@desk.local"), address=address)
    db.session.commit()


@each(
    ("addresses", "is_found"),
    [
        (["10.0.0.7", "10.0.0.7"], True),
        (["10.0.0.7"], False),
        (["10.0.0.7", "10.0.0.8"], False),
        (["8.8.8.8", "8.8.8.8"], False),
    ],
)
def test_a_proxy_that_nobody_named_is_found_alone(app, examined, addresses, is_found):
    with app.app_context():
        sign_in_from(*addresses)

    found = examined()
    with app.app_context():
        db.session.execute(text("DELETE FROM sessions"))
        db.session.execute(text("DELETE FROM admins"))
        db.session.commit()

    assert [one.check for one in found] == (["proxies"] if is_found else [])


@each("changes", [{"TRUSTED_PROXIES": 1}, {"ENVIRONMENT": "local"}])
def test_a_named_proxy_is_no_finding(app, examined, monkeypatch, changes):
    with app.app_context():
        db.session.execute(text("DELETE FROM sessions"))
        db.session.execute(text("DELETE FROM admins"))
        sign_in_from("10.0.0.7", "10.0.0.7")
    with monkeypatch.context() as patch:
        for name, value in changes.items():
            patch.setitem(app.config, name, value)
        assert examined() == []
