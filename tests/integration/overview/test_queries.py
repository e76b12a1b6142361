from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.clients.service import change_status
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db
from pipelabs.models import Client, KeyStage, KeyStatus, Outcome, Status, Tier
from pipelabs.models.clients import Chain
from pipelabs.overview import queries as overview
from pipelabs.vault.records import destroy_credentials
from tests.factories import (
    add_client,
    make_actor,
    make_admin,
    make_exchange,
    make_key,
    make_probe_result,
    make_wallet,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def context(app):
    """An open context at noon of a day."""
    with app.app_context(), time_machine.travel(NOON, tick=False):
        yield


def create(actor=None, **changes):
    wallet = Wallet(Chain.EVM, make_wallet())
    return add_client(actor, wallet_address=wallet, email=None, **changes)


def deny(outcome, ago=timedelta(), event=Event.CLIENT_CREATE_DENIED, **facts):
    with time_machine.travel(NOON - ago, tick=False):
        trail.record_denied(Attempt(event, outcome, 400, facts), make_actor())


def test_overview_of_a_new_installation_is_empty(context):
    found = overview.get_overview()

    assert (found.clients, found.last_24_h.attempts, found.last_7_d.success_rate) == (0, 0, None)
    assert [count for _, count in found.per_day] == [0] * 30
    assert (found.last_24_h.p50_ms, found.last_24_h.p95_ms) == (None, None)
    assert (found.last_7_d.patterns, found.admins, found.events) == ([], [], [])


def test_overview_counts_clients_by_status_and_tier(context):
    create(tier=Tier.PREMIUM)
    change_status(create(tier=Tier.BASIC).id, Status.PAUSED, make_actor())
    create(tier=Tier.BASIC)

    found = overview.get_overview()

    assert found.clients == 3
    assert found.by_status == dict.fromkeys(Status, 0) | {Status.ACTIVE: 2, Status.PAUSED: 1}
    assert found.by_tier == dict.fromkeys(Tier, 0) | {Tier.PREMIUM: 1, Tier.BASIC: 2}


def test_overview_counts_keys_by_status_and_expiry(context, ring):
    make_exchange()
    soon = NOON + overview.EXPIRING
    make_key(expires_at=soon)
    make_key(expires_at=soon + timedelta(seconds=1))
    make_key(result=make_probe_result(), expires_at=NOON - DAY)
    kept = {"stage": KeyStage.SUPERSEDED, "destroy_at": NOON + DAY}
    make_key(expires_at=soon, **kept)
    destroy_credentials(make_key(expires_at=soon))

    found = overview.get_overview()

    assert found.keys == 4
    assert (found.keys_by_status, found.keys_expiring) == (
        {KeyStatus.UNVERIFIED: 0, KeyStatus.VERIFIED: 3, KeyStatus.QUARANTINED: 1},
        2,
    )


def test_overview_counts_days_in_utc(context):
    midnight = NOON.replace(hour=0)
    for moment in (midnight - DAY * 29, midnight - timedelta(milliseconds=1), midnight, NOON):
        with time_machine.travel(moment, tick=False):
            create()
    with time_machine.travel(midnight - DAY * 29 - timedelta(milliseconds=1), tick=False):
        create()

    per_day = overview.get_overview().per_day

    assert [(one.isoformat(), count) for one, count in per_day if count] == [
        ("2026-10-24", 1),
        ("2026-11-21", 1),
        ("2026-11-22", 2),
    ]
    assert len(per_day) == 30


def test_overview_counts_attempts_by_result_and_span(context):
    create()
    for outcome in Outcome:
        deny(outcome if outcome is not Outcome.SUCCESS else Outcome.INVALID, code="x")
    deny(Outcome.DUPLICATE, ago=DAY * 2, code="x")
    deny(Outcome.ERROR, ago=DAY * 8, code="x")
    deny(Outcome.DUPLICATE, event=Event.CLIENT_CREATE_REPLAYED)
    deny(Outcome.FORBIDDEN, event=Event.REQUEST_DENIED)

    found = overview.get_overview()

    results = {"success": 1, "duplicate": 1, "invalid": 2, "limited": 1, "denied": 2, "error": 1}
    assert found.last_24_h.results == results
    assert found.last_7_d.results == results | {"duplicate": 2}
    assert (found.last_24_h.success_rate, found.last_7_d.success_rate) == (0.125, 0.1111)


def test_overview_has_the_most_frequent_denials_of_each_span(context):
    for outcome, ago, facts in [
        (Outcome.INVALID, DAY * 2, {"code": "invalid_input", "fields": "email"}),
        (Outcome.INVALID, DAY * 2, {"code": "invalid_input", "fields": "email"}),
        (Outcome.RATE_LIMITED, DAY / 2, {"code": "rate_limited"}),
    ]:
        deny(outcome, ago=ago, **facts)

    found = overview.get_overview()

    limited = overview.Pattern("rate_limited", None, 1)
    assert found.last_24_h.patterns == [limited]
    assert found.last_7_d.patterns == [overview.Pattern("invalid_input", "email", 2), limited]


def test_overview_measures_only_successful_creations(context):
    for ms in (1.0, 2.0, 3.0):
        trail.record(Event.CLIENT_CREATED, make_actor(), client_id=uuid4(), ms=ms)
    trail.record(Event.CLIENT_STATUS_CHANGED, make_actor(), ms=900.0)
    with time_machine.travel(NOON - DAY * 2, tick=False):
        trail.record(Event.CLIENT_CREATED, make_actor(), client_id=uuid4(), ms=10.0)

    found = overview.get_overview()

    assert (found.last_24_h.p50_ms, found.last_24_h.p95_ms) == (2, 2.9)
    assert (found.last_7_d.p50_ms, found.last_7_d.p95_ms) == (2.5, 8.9)


def test_overview_lists_the_most_active_admins_first(context):
    busy, idle = (make_admin(email=f"{name}@desk.local") for name in ("busy", "idle"))
    make_admin(email="away@desk.local")
    create(make_actor(admin_id=idle.id, name=idle.email))
    for _ in range(2):
        trail.record(Event.ADMIN_SIGNED_IN, make_actor(admin_id=busy.id, name=busy.email))

    found = overview.get_overview().admins

    assert found == [
        overview.Activity(busy.id, "busy@desk.local", 2, 0, NOON),
        overview.Activity(idle.id, "idle@desk.local", 1, 1, NOON),
    ]


def test_overview_has_the_ten_latest_events(context):
    for number in range(11):
        trail.record(Event.ADMIN_SIGNED_IN, make_actor(request_id=f"request-{number}"))

    events = overview.get_overview().events

    assert [event.request_id for event in events] == [f"request-{10 - n}" for n in range(10)]


def test_overview_counts_no_client_for_a_denied_attempt(context):
    trail.record(Event.CLIENT_CREATED, make_actor(), client_id=uuid4())

    assert db.session.query(Client).count() == overview.get_overview().clients == 0
