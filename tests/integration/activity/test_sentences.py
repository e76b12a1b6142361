"""Events in plain words, with the names of what they are about."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import select

from pipelabs.activity.names import find_name
from pipelabs.activity.reasons import LEASE_ENDS
from pipelabs.activity.sentences import MAX_VALUE_LENGTH, Entry, name_of, tell
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind
from pipelabs.audit.trail import Attempt
from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import AuditEvent, Bot, LeaseEnd, MarketStatus, Outcome, QuotingStatus, Status
from tests.each import each
from tests.factories import make_actor, make_admin, make_client, make_exchange, make_item

VERA = make_actor(name="vera@desk.local")


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange("binance")
        yield


@pytest.fixture
def peak():
    """Return the client Alder Peak, which is quoted in ADA/USDT on Binance."""
    client = make_client(name="Alder Peak")
    [row] = add_client_markets(client.id, [make_item("ADA/USDT", "binance")], VERA)
    return SimpleNamespace(id=client.id, client_market_id=row.id, market_id=row.market_id)


def last():
    """Return the newest event as an entry."""
    newest = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)
    [entry] = tell(db.session.scalars(newest).all())
    return entry


def say(event, outcome=Outcome.SUCCESS, actor=VERA, client_id=None, **facts):
    """Record an event and return its sentence."""
    if outcome is Outcome.SUCCESS:
        trail.record(event, actor, client_id=client_id, facts=facts)
    else:
        trail.record_denied(Attempt(event, outcome, 400, facts, client_id), actor)
    return last().text


def quote(peak, **changes):
    update_client_market(peak.id, peak.client_market_id, ClientMarketChanges(**changes), VERA)
    return last().text


def test_a_client_market_that_is_paused_is_named_with_its_client(peak):
    on_binance = "ADA/USDT on Binance for Alder Peak"

    assert last().text == "vera added ADA/USDT on Binance for Alder Peak"
    paused = quote(peak, status=QuotingStatus.PAUSED)
    assert paused == f"vera paused {on_binance}, active → paused"
    assert quote(peak, status=QuotingStatus.ACTIVE) == f"vera resumed {on_binance}, paused → active"
    changed = quote(peak, bot=Bot.BOTH, status=QuotingStatus.PAUSED)
    assert changed.startswith(f"vera changed {on_binance}, ")
    assert "status active → paused" in changed
    assert "bot market maker → both" in changed


def test_many_markets_are_counted(peak):
    bases = ["BTC", "ETH", "SOL", "XRP", "DOT", "TRX", "LTC", "BCH", "UNI", "APT"]
    add_client_markets(peak.id, [make_item(f"{base}/USDT", "binance") for base in bases], VERA)

    assert last().text == "vera added 10 markets for Alder Peak (Binance: 10)"


def test_names_in_a_sentence_lead_to_what_they_name(peak):
    quote(peak, status=QuotingStatus.PAUSED)

    named = {part.kind: (part.text, part.id) for part in last().parts if part.kind}

    assert named == {
        Kind.CLIENT_MARKET: ("ADA/USDT on Binance", str(peak.client_market_id)),
        Kind.CLIENT: ("Alder Peak", str(peak.id)),
    }


def test_a_status_change_has_its_verb(peak):
    change_status(peak.id, Status.PAUSED, VERA)
    assert last().text == "vera paused Alder Peak, active → paused"
    update_market(peak.market_id, MarketChanges(status=MarketStatus.HALTED), VERA)
    assert last().text == "vera halted ADA/USDT on Binance, trading → halted"
    update_market(peak.market_id, MarketChanges(status=MarketStatus.DELISTED), VERA)
    assert last().text == (
        "vera ended quoting of ADA/USDT on Binance for Alder Peak, because the market was delisted"
    )


def test_a_denied_attempt_says_why(peak):
    entry = say(
        Event.API_KEY_CREATE_DENIED,
        Outcome.INVALID,
        client_id=peak.id,
        code="withdrawal_allowed",
        exchange="binance",
        fields="api_key",
    )

    assert entry == (
        "vera tried to add a key of Alder Peak at Binance; denied: the key can withdraw (api key)"
    )
    assert last().is_denied
    other = say(Event.CLIENT_UPDATE_DENIED, Outcome.ERROR, client_id=peak.id, code="database_busy")
    assert other == "vera tried to change Alder Peak; denied: the database was busy"
    later = say(Event.CLIENT_UPDATE_DENIED, Outcome.ERROR, client_id=peak.id, code="of_later")
    assert later == "vera tried to change Alder Peak; denied: of later"
    silent = say(Event.CLIENT_UPDATE_DENIED, Outcome.ERROR, client_id=peak.id)
    assert silent == "vera tried to change Alder Peak"


@each(
    ("actor", "words"),
    [
        ({"name": "cli:root", "admin_id": None}, "root on the command line"),
        ({"name": "machine:quoter-1", "admin_id": None}, "Machine quoter-1"),
        ({"name": "service", "admin_id": None}, "The service"),
        ({"name": None, "admin_id": None}, "Somebody who was not signed in"),
    ],
)
def test_the_actor_is_worded(actor, words):
    assert say(Event.CLIENT_CREATED, actor=make_actor(**actor)) == f"{words} created a client"


def test_admins_with_the_same_name_are_told_apart():
    for domain in ("desk.local", "other.local"):
        say(Event.ADMIN_SIGNED_IN, actor=make_actor(name=f"vera@{domain}"))
    newest = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(2)

    told = [entry.text for entry in tell(db.session.scalars(newest).all())]

    assert told == ["vera@other.local signed in", "vera@desk.local signed in"]


def test_something_without_a_name_is_called_as_it_was_then():
    gone = str(uuid4())

    assert say(Event.ADMIN_DISABLED, admin=gone, email="x@desk.local") == (
        "vera disabled x@desk.local"
    )
    assert say(Event.MARKET_UPDATED, market=gone) == "vera changed a market"
    assert say(Event.MACHINE_INVITED, machine="nonsense", name="m") == "vera invited m"
    assert say(Event.CLIENT_UPDATED, client_id=uuid4()) == "vera changed a client"


def test_an_admin_is_named_by_the_e_mail_address():
    admin = make_admin(email="max@desk.local")

    sentence = say(
        Event.ADMIN_ROLE_CHANGED, admin=str(admin.id), **{"from": "viewer", "to": "owner"}
    )

    assert sentence == "vera changed the role of max@desk.local, viewer → owner"


@each(
    ("facts", "sentence"),
    [
        ({"scope": "everything"}, "vera raised a stop of everything"),
        ({"scope": "exchange", "exchange": "okx"}, "vera raised a stop of OKX"),
        ({"scope": "client"}, "vera raised a stop of what it covers"),
        ({}, "vera raised a stop of what it covers"),
        ({"scope": "everything", "reason": "Leak"}, "vera raised a stop of everything: “Leak”"),
    ],
)
def test_a_stop_says_what_it_covers(facts, sentence):
    assert say(Event.STOP_RAISED, stop=str(uuid4()), **facts) == sentence


def test_a_stop_of_a_client_names_it(peak):
    sentence = say(Event.STOP_RAISED, stop="x", scope="client", client_id=peak.id)

    assert sentence == "vera raised a stop of Alder Peak"


def test_a_request_says_what_it_is_about(peak):
    about = {
        f"stop:{uuid4()}": "lifting a stop",
        f"grant:{uuid4()}": "a grant",
        f"machine:{uuid4()}": "a request",
        f"client:{peak.id}": "Alder Peak",
        "nonsense": "a request",
    }
    for subject, words in about.items():
        sentence = say(Event.APPROVAL_APPROVED, approval=str(uuid4()), about=subject)
        assert sentence == f"vera approved the request about {words}"


def test_long_values_are_cut(peak):
    sentence = say(Event.MACHINE_RETIRED, machine=str(uuid4()), name="m", reason="x" * 500)

    assert len(sentence) < MAX_VALUE_LENGTH + 40
    assert sentence.endswith("…”")


def test_an_event_of_a_newer_version_is_shown_by_its_name():
    assert name_of("moon.landed_on") == "moon landed on"
    row = {"event": "moon.landed_on", "actor": "vera@desk.local", "details": {}}
    say(Event.CLIENT_CREATED)
    event = db.session.scalars(select(AuditEvent)).all()[-1]
    db.session.expunge(event)
    for name, value in row.items():
        setattr(event, name, value)

    [entry] = tell([event])

    assert isinstance(entry, Entry)
    assert (entry.text, entry.name) == ("vera moon landed on", "moon landed on")


def test_names_take_one_query_for_each_kind(statements):
    clients = [make_client(name=f"Client {number}") for number in range(20)]
    for client in clients:
        trail.record(Event.CLIENT_UPDATED, VERA, client_id=client.id, facts={"admin": "x"})
    db.session.flush()
    events = db.session.scalars(select(AuditEvent)).all()
    statements.clear()

    tell(events)

    assert len([text for text in statements if "SELECT" in text]) == 1


@each(
    ("kind", "name"),
    [(Kind.EXCHANGE, "OKX"), (Kind.GRANT, None), (Kind.CLIENT, None), (Kind.VAULT, None)],
)
def test_find_name_returns_none_without_a_name(kind, name):
    assert find_name(kind, "okx") == name


def test_find_name_returns_the_name_of_each_kind(peak):
    assert find_name(Kind.CLIENT, str(peak.id)) == "Alder Peak"
    assert find_name(Kind.MARKET, str(peak.market_id)) == "ADA/USDT on Binance"
    assert find_name(Kind.EXCHANGE, "nonsense") == "nonsense"


def test_changes_of_many_rows_are_told_with_their_number(peak):
    facts = {"change": "status:paused", "count": "3", "skipped": "0"}
    changed, denied = Event.CLIENT_MARKET_BULK_CHANGED, Event.CLIENT_MARKET_BULK_CHANGE_DENIED

    assert say(changed, client_id=peak.id, **facts) == (
        "vera changed client markets at once for Alder Peak (3): status:paused"
    )
    assert say(changed, client_id=peak.id, **facts, undo="true") == (
        "vera undid a change of client markets for Alder Peak (3): status:paused"
    )
    assert say(denied, Outcome.INVALID, client_id=peak.id, code="invalid_input") == (
        "vera tried to change many client markets at once for Alder Peak;"
        " denied: the input was invalid"
    )
    assert say(Event.API_KEY_BULK_CHANGED, count="1") == "vera changed API keys at once (1)"


@each("reason", list(LeaseEnd))
def test_end_of_a_lease_is_told_in_words(reason):
    trail.record(Event.LEASE_ENDED, VERA, facts={"lease": str(uuid4()), "reason": reason.value})

    [entry] = tell(
        db.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)).all()
    )

    assert entry.text == f"vera ended the lease of: {LEASE_ENDS[reason]}"


def test_unknown_end_of_a_lease_is_told_as_it_is():
    trail.record(Event.LEASE_ENDED, VERA, facts={"lease": str(uuid4()), "reason": "of_later"})

    [entry] = tell(
        db.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)).all()
    )

    assert entry.text.endswith(": of_later")
