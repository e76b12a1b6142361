from datetime import timedelta

import pytest

from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt, record_denied
from pipelabs.core.db import db
from pipelabs.core.errors import NotFound
from pipelabs.desk import alerts, snoozes
from pipelabs.desk.alerts import AlertKind
from pipelabs.desk.commands import NewSnooze
from pipelabs.machines import grants, stops
from pipelabs.machines.commands import NewGrant, NewStop
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    Admin,
    APIToken,
    AuditEvent,
    Client,
    Delivery,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    LeaseEnd,
    Market,
    MarketStatus,
    Outcome,
    Snooze,
    Status,
    StopScope,
    WhenAway,
    now,
)
from tests.factories import (
    make_actor,
    make_admin,
    make_client,
    make_credentials,
    make_exchange,
    make_item,
    make_key,
)
from tests.integration.machines.rows import make_grant, make_lease, make_machine

DAY = timedelta(days=1)


@pytest.fixture
def owner(app, ring):
    """An owner, within an application context."""
    with app.app_context():
        make_exchange()
        owner = make_admin(email="owner@desk.local")
        db.session.flush()
        yield owner


def list_kinds(**asked):
    return [alert.kind for alert in alerts.list_alerts(**asked).rows]


def make_key_with(status, label="main"):
    """Add a key of an account of its own."""
    make_key(label=label, credentials=make_credentials(api_key=f"key of {label}")).status = status


def hold_silently(owner):
    machine = make_machine(owner)
    ended = {"ended_at": now(), "end_reason": LeaseEnd.STOPPED}
    make_lease(machine, make_grant(machine), make_key(label="held").id, **ended)


def deny_sign_ins(_owner, count=3):
    attempt = Attempt(
        Event.ADMIN_SIGN_IN_DENIED, Outcome.UNAUTHORIZED, 401, {"claimed_email": "vera@desk.local"}
    )
    for _ in range(count):
        record_denied(attempt, make_actor(admin_id=None, name=None))


def quote_without_a_key(_owner):
    add_client_markets(make_client(name="Alder Peak").id, [make_item()], make_actor())


def halt_a_quoted_market(_owner):
    client = make_client()
    make_key(client)
    add_client_markets(client.id, [make_item()], make_actor())
    db.session.query(Market).one().status = MarketStatus.HALTED


def share_an_account(_owner):
    credentials = make_credentials()
    for name in ("Alder Peak", "Basalt & Finch"):
        make_key(make_client(name=name), credentials=credentials)


def offboard_with_a_key(_owner):
    client = make_client(name="Alder Peak")
    make_key(client)
    db.session.get_one(Client, client.id).status = Status.OFFBOARDED


def make_token(owner):
    """Add an API token that expires in five days."""
    names = {"admin_id": owner.id, "name": "CRM", "prefix": "pl_abcd", "last_four": "wxyz"}
    rest = {"digest": b"d" * 32, "permissions": [], "addresses": []}
    db.session.add(APIToken(**names, **rest, expires_at=now() + 5 * DAY))


def request_approval(owner):
    new = NewGrant(
        machine_id=make_machine(owner).id,
        client_id=None,
        exchange=None,
        label=None,
        delivery=Delivery.EXEC,
        ttl_s=3600,
        max_holders=1,
        max_examination_age_s=604_800,
        when_away=WhenAway.HOLD,
        hold_s=3600,
    )
    grants.request_grant(new, make_actor(admin_id=owner.id))


def raise_a_stop(_owner):
    stops.raise_stop(
        NewStop(scope=StopScope.EXCHANGE, reason="a test", exchange="okx"), make_actor()
    )


MAKE = {
    AlertKind.MACHINE_SILENT: hold_silently,
    AlertKind.QUOTED_WITHOUT_KEY: quote_without_a_key,
    AlertKind.KEY_QUARANTINED: lambda _: make_key_with(KeyStatus.QUARANTINED),
    AlertKind.OFFBOARDED_WITH_KEYS: offboard_with_a_key,
    AlertKind.KEY_EXPIRED: lambda _: make_key(expires_at=now() - DAY),
    AlertKind.KEY_UNVERIFIED: lambda _: make_key_with(KeyStatus.UNVERIFIED),
    AlertKind.SIGN_INS_DENIED: deny_sign_ins,
    AlertKind.APPROVAL_PENDING: request_approval,
    AlertKind.STOP_RAISED: raise_a_stop,
    AlertKind.KEY_EXPIRING: lambda _: make_key(expires_at=now() + 5 * DAY),
    AlertKind.MARKET_HALTED: halt_a_quoted_market,
    AlertKind.SHARED_ACCOUNT: share_an_account,
    AlertKind.REPLACEMENT_WAITING: lambda _: make_key(stage=KeyStage.CANDIDATE),
    AlertKind.TOKEN_EXPIRING: make_token,
    AlertKind.NEVER_SIGNED_IN: lambda _: make_admin(
        email="new@desk.local", must_change_password=True, one_time_password_until=now() + DAY
    ),
}
"""Kind → what makes one alert of it and no other."""


def test_nothing_needs_attention_in_an_orderly_desk(owner):
    client = make_client()
    make_key(client, expires_at=now() + 60 * DAY)
    add_client_markets(client.id, [make_item()], make_actor())
    deny_sign_ins(owner, 2)

    assert list_kinds() == []


@pytest.mark.parametrize("kind", AlertKind)
def test_list_alerts_has_an_alert_of_each_kind(owner, kind):
    MAKE[kind](owner)
    db.session.flush()

    assert list_kinds() == [kind]


@pytest.mark.parametrize(
    ("kind", "model", "until", "since"),
    [
        (AlertKind.KEY_EXPIRED, ExchangeAPIKey, -DAY, -DAY),
        (AlertKind.KEY_EXPIRING, ExchangeAPIKey, 5 * DAY, -9 * DAY),
        (AlertKind.TOKEN_EXPIRING, APIToken, 5 * DAY, -9 * DAY),
    ],
)
def test_alert_of_an_expiry_says_since_when_it_is_near_or_over(owner, kind, model, until, since):
    MAKE[kind](owner)
    db.session.flush()
    moment = now()
    row = db.session.query(model).one()
    row.created_at, row.expires_at = moment - 60 * DAY, moment + until
    db.session.flush()

    [alert] = alerts.list_alerts().rows

    assert alert.since == moment + since


def test_key_that_expires_soon_when_it_is_added_has_an_alert_since_then(owner):
    key = make_key(expires_at=now() + 5 * DAY)
    db.session.flush()

    [alert] = alerts.list_alerts().rows

    assert alert.since == key.created_at


def test_list_alerts_is_in_the_order_of_urgency(owner):
    for kind in (AlertKind.TOKEN_EXPIRING, AlertKind.SIGN_INS_DENIED, AlertKind.KEY_QUARANTINED):
        MAKE[kind](owner)
    db.session.flush()

    levels = [alert.level for alert in alerts.list_alerts().rows]

    assert levels == ["bad", "warn", "quiet"]


def test_list_alerts_lists_a_few_of_a_kind_and_says_that_there_are_more(owner, monkeypatch):
    monkeypatch.setattr(alerts, "MAX_OF_KIND", 1)
    for label in ("one", "other"):
        make_key_with(KeyStatus.UNVERIFIED, label)
    db.session.flush()

    listed = alerts.list_alerts()

    assert len(listed.rows) == 1
    assert listed.more == {AlertKind.KEY_UNVERIFIED}


def snooze_first(days=7):
    [alert] = alerts.list_alerts().rows
    new = NewSnooze(kind=alert.kind, subject=alert.subject, days=days, reason="Asked the client.")
    snoozes.snooze(new, make_actor(admin_id=db.session.query(Admin.id).limit(1).scalar()))
    return alert


def test_snoozed_alert_is_listed_apart_until_the_snooze_is_over(owner, rows):
    MAKE[AlertKind.SHARED_ACCOUNT](owner)
    db.session.flush()

    alert = snooze_first()

    assert list_kinds() == []
    [snoozed] = alerts.list_alerts(is_snoozed=True).rows
    assert snoozed.subject == alert.subject
    assert snoozed.snooze
    assert snoozed.snooze.reason == "Asked the client."
    db.session.query(Snooze).one().until = now() - DAY
    db.session.flush()
    assert list_kinds() == [AlertKind.SHARED_ACCOUNT]
    assert list_kinds(is_snoozed=True) == []
    assert snoozes.purge_snoozes() == 1


def test_snoozing_again_replaces_the_snooze_and_each_is_recorded(owner):
    make_key_with(KeyStatus.UNVERIFIED)
    db.session.flush()
    alert = snooze_first()
    again = NewSnooze(kind=alert.kind, subject=alert.subject, days=1, reason="Tomorrow.")

    snoozes.snooze(again, make_actor(admin_id=owner.id))

    assert db.session.query(Snooze).one().reason == "Tomorrow."
    events = db.session.query(AuditEvent).filter_by(event=Event.ALERT_SNOOZED).all()
    assert {event.details["about"] for event in events} == {alert.subject}
    assert len(events) == 2


def test_end_snooze_lists_the_alert_again(owner):
    make_key_with(KeyStatus.UNVERIFIED)
    db.session.flush()
    alert = snooze_first()

    snoozes.end_snooze(alert.kind, alert.subject, make_actor())

    assert list_kinds() == [AlertKind.KEY_UNVERIFIED]
    with pytest.raises(NotFound):
        snoozes.end_snooze(alert.kind, alert.subject, make_actor())


def test_snooze_rejects_an_alert_that_does_not_exist(owner):
    new = NewSnooze(kind=AlertKind.KEY_EXPIRED, subject="x", days=1, reason="x")

    with pytest.raises(NotFound):
        snoozes.snooze(new, make_actor(admin_id=owner.id))


def test_count_alerts_leaves_out_what_is_snoozed(owner):
    make_key_with(KeyStatus.UNVERIFIED)
    db.session.flush()
    assert alerts.count_alerts() == 1

    snooze_first()

    assert alerts.count_alerts() == 0
