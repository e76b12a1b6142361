"""Create clients under the conventional path, one at a time and many at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from pipelabs.core.db import db
from pipelabs.core.schemas.fields import Timestamp
from pipelabs.models import AuditEvent, Client, Role
from tests.each import each
from tests.factories import QUICK_CLIENT, WALLET, make_body, make_wallet
from tests.waiting import wait_for

CLIENTS, BATCH = "/api/admin/clients", "/api/admin/clients:batch"
ME = "/api/auth/me"
EMAIL = "email@example.com"
WAITERS = db.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")


@pytest.fixture
def send(client, operator):
    """Return a function that sends a batch of bodies."""

    def post(*bodies, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(BATCH, json={"clients": bodies}, headers=operator | named)

    return post


def new(**changes):
    return make_body(**{"wallet_address": make_wallet(), "email": None} | changes)


def test_conventional_path_creates_the_same_client(client, operator, rows):
    first = client.post(CLIENTS, json=make_body(), headers=operator)
    second = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (first.status_code, second.status_code) == (201, 409)
    assert first.headers["ETag"] == '"1"'
    assert client.get(first.location, headers=operator).status_code == 200
    assert [row.event for row in rows(AuditEvent)] == ["client.created", "client.create_denied"]


def test_both_paths_spend_one_budget(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "2/minute")

    statuses = [
        client.post(path, json=new(), headers=operator).status_code
        for path in (CLIENTS, QUICK_CLIENT, CLIENTS, QUICK_CLIENT)
    ]

    assert statuses == [201, 201, 429, 429]


def test_batch_creates_all_clients_in_order_with_an_event_and_a_line_each(send, rows, lines):
    bodies = [new(name=f"Client {number}", email=f"{number}@x.test") for number in range(5)]
    bodies.append(new(name="Sparse", email=None, tier=None, notes=None))

    response = send(*bodies)

    assert response.status_code == 201
    assert response.json["message"] == "6 clients created"
    assert [one["name"] for one in response.json["clients"]] == [one["name"] for one in bodies]
    assert response.json["metadata"]["created_by"] == "operator@desk.local"
    stored = {str(row.id): row for row in rows(Client)}
    for one, body in zip(response.json["clients"], bodies, strict=True):
        row = stored[one["id"]]
        assert (row.name, row.email, row.notes) == (
            body["name"],
            body["email"],
            body["notes"] or "",
        )
        assert (row.tier, row.chain, row.version) == (body["tier"] or "Standard", "evm", 1)
        assert one["created_at"] == Timestamp().serialize("created_at", row)
    events = rows(AuditEvent)
    assert [str(event.client_id) for event in events] == [
        one["id"] for one in response.json["clients"]
    ]
    assert {event.event for event in events} == {"client.created"}
    assert {event.ms for event in events} == {response.json["metadata"]["processing_time_ms"]}
    assert events[0].details["email"] == "0@x.test"
    assert len({event.uid for event in events}) == len({event.mac for event in events}) == 6
    assert [line.split(" | ")[4] for line in lines()] == [str(event.client_id) for event in events]


def test_batch_takes_500_clients(send, rows):
    bodies = [
        {"name": f"Client {number}", "wallet_address": make_wallet()} for number in range(500)
    ]

    response = send(*bodies)
    one_too_many = send(*bodies, bodies[0])
    none = send()

    assert response.status_code == 201
    assert len(rows(Client)) == len(rows(AuditEvent, status="SUCCESS")) == 500
    assert [answer.status_code for answer in (one_too_many, none)] == [400, 400]
    assert list(none.json["error"]["fields"]) == ["clients"]


def test_batch_inserts_all_clients_and_all_events_in_a_statement_each(app, send):
    statements = []
    with app.app_context():
        connection = db.session.connection()
    event.listen(connection, "before_cursor_execute", lambda *call: statements.append(call[2]))

    response = send(*[new() for _ in range(50)])

    assert response.status_code == 201
    inserts = [one for one in statements if "INSERT INTO" in one]
    assert ["clients" in one for one in inserts] == [True, False]
    assert ["audit_events" in one for one in inserts] == [False, True]


def test_batch_names_every_wrong_field_and_creates_nothing(send, rows):
    bodies = [
        new(),
        new(name=""),
        new(wallet_address="0x0", tier="Gold"),
        new(colour="red"),
        "x",
        {"name": "No wallet"},
    ]

    response = send(*bodies)

    assert (response.status_code, response.json["error"]["code"]) == (400, "invalid_input")
    assert set(response.json["error"]["fields"]) == {
        "clients.1.name",
        "clients.2.wallet_address",
        "clients.2.tier",
        "clients.3.colour",
        "clients.4",
        "clients.5.wallet_address",
    }
    assert rows(Client) == []
    [event] = rows(AuditEvent)
    assert (event.event, event.status) == ("client.create_denied", "INVALID")


def test_batch_names_every_taken_value_and_creates_nothing(client, operator, send, rows):
    taken = [new(wallet_address=WALLET), new(email=EMAIL)]
    ids = [client.post(CLIENTS, json=body, headers=operator).json["client"]["id"] for body in taken]

    response = send(new(), new(wallet_address=WALLET.lower()), new(email=EMAIL.upper()), new())

    assert (response.status_code, response.json["error"]["code"]) == (409, "duplicate")
    assert response.json["error"]["existing"] == {
        "clients.1.wallet_address": ids[0],
        "clients.2.email": ids[1],
    }
    assert set(response.json["error"]["fields"]) == set(response.json["error"]["existing"])
    assert len(rows(Client)) == 2
    assert rows(AuditEvent)[-1].status == "DUPLICATE"


@each(
    ("change", "field"),
    [
        ({"wallet_address": WALLET}, "wallet_address"),
        ({"wallet_address": WALLET.lower()}, "wallet_address"),
        ({"wallet_address": f" {WALLET}"}, "wallet_address"),
        ({"email": "Email@Example.com"}, "email"),
    ],
)
def test_batch_names_repeated_values_with_the_taken_ones(
    app, client, send, operator, change, field
):
    with app.app_context():
        db.session.query(Client).delete()
        db.session.commit()
    taken = client.post(CLIENTS, json=new(), headers=operator).json["client"]

    first = make_body() | ({"email": None} if field == "wallet_address" else {})
    response = send(first, new(), new(**change), new(wallet_address=taken["wallet_address"]))

    assert response.status_code == 400
    assert response.json["error"]["fields"] == {
        f"clients.2.{field}": [f"The same as clients.0.{field}."],
        "clients.3.wallet_address": ["A client with this wallet address already exists."],
    }


def test_batch_has_a_budget_of_its_own(client, send, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_BATCH", "2/minute")

    responses = [send(new()) for _ in range(3)]
    quota = client.get(ME, headers=operator).json["quota"]

    assert [response.status_code for response in responses] == [201, 201, 429]
    assert responses[0].headers["RateLimit"].startswith('"batch";r=1;')
    assert (quota["batch"]["remaining"], quota["create"]["remaining"]) == (0, 20)
    assert quota["general"]["remaining"] == 97


def test_batch_is_replayed_without_spending_its_budget(send, app, rows, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_BATCH", "1/minute")
    bodies = [new(), new()]

    first, second = [send(*bodies, Idempotency_Key="first") for _ in range(2)]

    assert (first.status_code, second.data) == (201, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(rows(Client)) == 2
    assert rows(AuditEvent)[-1].event == "client.create_replayed"


def test_batch_is_denied_to_viewers(client, viewer, rows):
    response = client.post(BATCH, json={"clients": [new()]}, headers=viewer)

    assert (response.status_code, rows(Client)) == (403, [])


def test_batch_without_an_audit_trail_creates_nothing(send, rows, monkeypatch):
    monkeypatch.setattr("pipelabs.audit.trail.INSERT_MANY", db.text("SELECT 1 FROM no_table"))

    response = send(new(), new())

    assert (response.status_code, response.json["error"]["code"]) == (503, "audit_unavailable")
    assert rows(Client) == []


@pytest.mark.own_database
def test_batch_waits_for_another_and_names_what_that_one_created(app, operator, send, rows):
    other = app.test_client()
    wallets = [make_wallet() for _ in range(3)]
    with app.app_context(), db.engine.begin() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(db.text("SELECT pg_advisory_xact_lock(hashtext('clients.batch'))"))
        bodies = [new(wallet_address=wallet) for wallet in wallets]
        sending = pool.submit(send, *bodies)
        wait_for(lambda: connection.scalar(WAITERS))
        taken = other.post(CLIENTS, json=new(wallet_address=wallets[1]), headers=operator)
        connection.rollback()
        response = sending.result()

    assert (taken.status_code, response.status_code) == (201, 409)
    assert response.json["error"]["existing"] == {
        "clients.1.wallet_address": taken.json["client"]["id"]
    }
    assert len(rows(Client)) == 1


@pytest.mark.own_database
def test_concurrent_batches_in_opposite_order_create_each_client_once(app, variant, sign_in, rows):
    headers = [sign_in(Role.OPERATOR, email=f"{number}@desk.local") for number in range(4)]
    wallets = [make_wallet() for _ in range(20)]
    emails = [f"{number}@x.test" for number in range(20)]

    def post(number):
        order = emails if number % 2 else emails[::-1]
        pairs = zip(wallets, order, strict=True)
        bodies = [new(wallet_address=wallet, email=email) for wallet, email in pairs]
        return app.test_client().post(BATCH, json={"clients": bodies}, headers=headers[number])

    with ThreadPoolExecutor(4) as pool:
        statuses = [response.status_code for response in pool.map(post, range(4))]

    assert sorted(statuses) == [201, 409, 409, 409]
    assert len(rows(Client)) == 20
