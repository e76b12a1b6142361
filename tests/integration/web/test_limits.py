import collections
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import redis
import time_machine

import config
from pipelabs import create_app
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Client, Role
from pipelabs.web.rate_limit import limiter
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body, make_wallet
from tests.servers import Redis

LOGIN, LOGOUT, ME = "/api/auth/login", "/api/auth/logout", "/api/auth/me"
NOTHING = "/api/admin/nothing"
FIELDS = {"RateLimit", "RateLimit-Policy", "Retry-After"} | {
    f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")
}


class OwnRedis(Redis):
    """A Redis of one test's own, to be stopped, frozen and started again on the same port."""

    def stop(self):
        self.kill()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def fill(self):
        """Let it refuse every write from now on, as a full one does."""
        self.ask(lambda server: server.config_set("maxmemory", 1))

    def ask(self, question):
        with redis.Redis.from_url(self.url) as server:
            return question(server)


@pytest.fixture
def own_redis(tmp_path):
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def served(app, own_redis, monkeypatch):
    """Return a client of the service with `own_redis`, on this test's transaction."""
    for name, value in list(vars(limiter).items()):
        # The limiter is one for all applications of a process: the next test wants its own back.
        monkeypatch.setattr(limiter, name, value)
    changes = {
        "RATELIMIT_STORAGE_URI": own_redis.url,
        "RATELIMIT_STORAGE_OPTIONS": config.REDIS_OPTIONS,
        "RATELIMIT_CREATE": "3/minute",
    }
    other = create_app(SimpleNamespace(**{**app.config, **changes}))
    db._app_engines[other][None] = db._app_engines[app][None]
    return other.test_client()


@pytest.fixture
def limits(app, monkeypatch):
    """Return a setter of budgets."""

    def set_limits(**budgets):
        for name, budget in budgets.items():
            monkeypatch.setitem(app.config, f"RATELIMIT_{name.upper()}", budget)

    return set_limits


def create(client, headers):
    body = make_body(wallet_address=make_wallet(), email=None)
    return client.post(QUICK_CLIENT, json=body, headers=headers)


def creates(client, headers, count):
    return [create(client, headers).status_code for _ in range(count)]


def remaining(client, headers):
    quota = client.get(ME, headers=headers).json["quota"]
    return quota["create"]["remaining"], quota["general"]["remaining"]


def told(response):
    return FIELDS & {name for name, _ in response.headers}


def test_twenty_creates_a_minute_are_served_and_more_refused(client, operator, sign_in, rows):
    other = sign_in(Role.OPERATOR, email="second@desk.local")

    answers = [create(client, operator) for _ in range(25)]

    assert [answer.status_code for answer in answers] == [201] * 20 + [429] * 5
    assert {answer.json["error"]["code"] for answer in answers[20:]} == {"rate_limited"}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in answers[20:])
    assert len(rows(Client)) == 20
    assert create(client, other).status_code == 201
    assert remaining(client, operator) == (0, 75)


@pytest.mark.parametrize(("body", "status"), [({}, 400), (make_body(), 409), ("[", 415)])
def test_creates_that_come_to_nothing_count_too(client, operator, sign_in, body, status):
    client.post(QUICK_CLIENT, json=make_body(), headers=sign_in(Role.OWNER))
    sent = {"json": body} if isinstance(body, dict) else {"data": body}

    answers = [client.post(QUICK_CLIENT, headers=operator, **sent) for _ in range(25)]

    assert [answer.status_code for answer in answers] == [status] * 20 + [429] * 5


def test_a_hundred_calls_a_minute_are_served_and_more_refused(client, operator):
    answers = [client.get(NOTHING, headers=operator) for _ in range(110)]

    assert [answer.status_code for answer in answers] == [404] * 100 + [429] * 10
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_a_create_that_its_own_budget_refuses_still_spends_the_general_one(
    client, operator, limits
):
    limits(create="2/minute")

    statuses = creates(client, operator, 4)

    assert statuses == [201, 201, 429, 429]
    assert remaining(client, operator) == (0, 96)


def test_a_call_that_the_general_budget_refuses_spends_nothing_else(client, operator, limits):
    limits(general="2/minute")

    statuses = creates(client, operator, 4)

    assert statuses == [201, 201, 429, 429]
    assert remaining(client, operator) == (18, 0)


def test_who_may_not_create_spends_the_general_budget_alone(client, viewer):
    statuses = creates(client, viewer, 2)

    assert statuses == [403, 403]
    assert remaining(client, viewer) == (20, 98)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", NOTHING, 404),
        ("POST", NOTHING, 404),
        ("GET", "/api/admin", 404),
        ("GET", "/api/admin/", 404),
        ("GET", "/api/admin/clients/7", 404),
        ("GET", "/api/admin/a%00b", 404),
        ("GET", QUICK_CLIENT, 405),
        ("DELETE", QUICK_CLIENT, 405),
        ("PURGE", QUICK_CLIENT, 405),
    ],
)
def test_unknown_addresses_and_methods_spend_the_general_budget(
    client, operator, method, path, status
):
    response = client.open(path, method=method, headers=operator)

    assert response.status_code == status
    assert remaining(client, operator) == (20, 99)


@each(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", ME),
        ("POST", LOGIN),
        ("GET", "/api/nothing"),
        ("GET", "/api/administrators"),
        ("OPTIONS", QUICK_CLIENT),
        ("OPTIONS", NOTHING),
    ],
)
def test_probes_signing_in_and_preflights_spend_nothing(client, operator, method, path):
    response = client.open(path, method=method, headers=operator)

    assert told(response) == set()
    assert remaining(client, operator) == (20, 100)


def test_the_tokens_of_an_admin_share_one_budget(client, app, limits):
    limits(create="3/minute")
    with app.app_context():
        make_admin(email="owner@desk.local")
        db.session.commit()
    body = {"email": "owner@desk.local", "password": PASSWORD}
    tokens = [client.post(LOGIN, json=body).json["access_token"] for _ in range(2)]

    statuses = [creates(client, {"Authorization": f"Bearer {one}"}, 2) for one in tokens]

    assert statuses == [[201, 201], [201, 429]]


def test_strangers_spend_nobodys_budget(client, operator):
    forged = {"Authorization": operator["Authorization"][:-4]}

    statuses = creates(client, forged, 3) + creates(client, {}, 3)

    assert statuses == [401] * 6
    assert remaining(client, operator) == (20, 100)


@pytest.mark.parametrize("claimed", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Cookie"])
def test_no_header_gives_a_fresh_budget(client, operator, limits, claimed):
    limits(create="1/minute")

    statuses = [create(client, operator | {claimed: f"a=192.0.2.{n}"}).status_code for n in (1, 2)]

    assert statuses == [201, 429]


def test_a_create_tells_of_both_budgets(client, operator):
    response = create(client, operator)

    headers = response.headers
    assert headers["RateLimit-Policy"] == '"create";q=20;w=60, "general";q=100;w=60'
    found = re.fullmatch(r'"create";r=19;t=(\d+), "general";r=99;t=(\d+)', headers["RateLimit"])
    assert found
    assert all(1 <= int(seconds) <= 60 for seconds in found.groups())
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("20", "19")
    assert 0 <= int(headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert "Retry-After" not in headers


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 403)])
def test_another_call_tells_of_the_general_budget(client, viewer, method, status):
    path = QUICK_CLIENT if method == "POST" else NOTHING

    response = client.open(path, method=method, headers=viewer)

    assert response.status_code == status
    assert response.headers["RateLimit-Policy"] == '"general";q=100;w=60'
    assert re.fullmatch(r'"general";r=99;t=\d+', response.headers["RateLimit"])
    assert response.headers["X-RateLimit-Remaining"] == "99"


def test_the_x_fields_tell_of_the_tightest_budget(client, operator, limits):
    limits(general="2/minute")

    response = create(client, operator)

    assert response.headers["X-RateLimit-Limit"] == "2"
    assert response.headers["X-RateLimit-Remaining"] == "1"


def test_a_refused_create_tells_what_is_left_and_for_how_long_to_wait(client, operator, limits):
    limits(create="1/minute")
    create(client, operator)

    response = create(client, operator)

    assert response.status_code == 429
    assert told(response) == FIELDS
    assert response.headers["RateLimit-Policy"] == '"create";q=1;w=60, "general";q=100;w=60'
    wait = response.headers["Retry-After"]
    assert response.headers["RateLimit"].startswith(f'"create";r=0;t={wait}, "general";r=98;')
    assert response.headers["X-RateLimit-Remaining"] == "0"


@pytest.mark.parametrize("budget", ["create", "general"])
def test_who_waits_as_long_as_told_is_served(client, operator, limits, budget):
    limits(**{budget: "2/minute"})
    with time_machine.travel(time.time(), tick=False) as clock:
        statuses = creates(client, operator, 2)
        refused = create(client, operator)

        # A moment longer than told, for this clock stands still between the two.
        clock.shift(int(refused.headers["Retry-After"]) + 0.001)
        served = create(client, operator)

    assert [*statuses, refused.status_code, served.status_code] == [201, 201, 429, 201]


def test_the_time_to_wait_is_that_of_every_spent_budget(client, operator, limits):
    limits(create="1/5 seconds", general="2/minute")
    with time_machine.travel(time.time(), tick=False):
        create(client, operator)

        response = create(client, operator)

        assert response.status_code == 429
        assert remaining(client, operator)[1] == 0
        assert int(response.headers["Retry-After"]) > 30


def test_the_limit_holds_in_any_sixty_seconds(client, operator, limits):
    limits(create="2/minute")
    statuses = []

    with time_machine.travel(time.time(), tick=False) as clock:
        for wait in (0, 50, 8, 4, 1):
            clock.shift(wait)
            statuses.append(create(client, operator).status_code)

    assert statuses == [201, 201, 429, 201, 429]


def test_a_refused_write_is_written_down_and_a_refused_read_is_not(client, operator, rows, limits):
    limits(general="1/minute")
    client.get(NOTHING, headers=operator)

    refused = [client.get(NOTHING, headers=operator), create(client, operator)]

    assert [one.status_code for one in refused] == [429, 429]
    [row] = rows(AuditEvent)
    assert (row.status, row.http, row.actor) == ("RATE_LIMITED", 429, "operator@desk.local")
    assert (row.event, row.request_id) == ("client.create_denied", refused[1].json["request_id"])


@pytest.mark.parametrize("state", ["stop", "freeze", "fill"])
def test_without_redis_the_limits_are_kept_in_memory(served, own_redis, operator, state):
    getattr(own_redis, state)()

    statuses = creates(served, operator, 6)

    assert statuses == [201] * 3 + [429] * 3


@pytest.mark.parametrize("state", ["stop", "freeze"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/ready"), ("GET", ME), ("GET", NOTHING), ("POST", QUICK_CLIENT), ("POST", LOGOUT)],
)
def test_without_redis_every_call_is_answered(served, own_redis, operator, state, method, path):
    getattr(own_redis, state)()

    response = served.open(path, method=method, headers=operator)

    assert response.status_code < 500


def test_redis_going_between_two_calls_costs_no_call(served, own_redis, operator):
    before = creates(served, operator, 1)
    own_redis.stop()

    after = creates(served, operator, 4)

    assert before + after == [201, 201, 201, 201, 429]


@pytest.mark.own_database
def test_every_call_that_waits_while_redis_goes_is_counted_in_memory(served, own_redis, operator):
    clients = [served.application.test_client() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda client: create(client, operator), clients))
        own_redis.freeze()
        answers = list(pool.map(lambda client: create(client, operator), clients))

    statuses = collections.Counter(answer.status_code for answer in answers)
    assert statuses == {201: 3, 429: 5}


def test_without_redis_a_refusal_still_says_how_long_to_wait(served, own_redis, operator):
    own_redis.stop()
    creates(served, operator, 3)

    response = create(served, operator)

    assert response.status_code == 429
    assert told(response) == FIELDS
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_ready_says_that_redis_is_away_and_that_it_is_back(served, own_redis, operator):
    states = []

    for turn in (own_redis.stop, own_redis.start):
        turn()
        states.append(served.get("/ready", headers=operator).json["parts"]["redis"])

    assert states == ["away", "ok"]


def test_the_limits_return_to_redis_by_themselves(served, own_redis, operator):
    own_redis.stop()
    away = creates(served, operator, 4)
    own_redis.start()

    with time_machine.travel(time.time() + 5, tick=True):
        back = creates(served, operator, 4)

    assert away == back == [201, 201, 201, 429]
    assert own_redis.ask(lambda server: len(server.keys("*create*"))) == 1


def test_a_flushed_redis_revives_no_token(client, operator, app):
    out = client.post(LOGOUT, headers=operator)

    redis.Redis.from_url(app.config["RATELIMIT_STORAGE_URI"]).flushdb()
    response = client.get(ME, headers=operator)

    assert (out.status_code, response.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/admin/%ff%fe", {}),
        ("/api/admin/%ed%a0%80", {}),
        (QUICK_CLIENT, {"X-Request-ID": "\u00e9" * 9}),
        (QUICK_CLIENT, {"Authorization": "Bearer \u00e9"}),
        (QUICK_CLIENT, {"X-Forwarded-For": "\u00e9, ,"}),
        (QUICK_CLIENT, {"Content-Length": "many"}),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("signed_in", [True, False])
def test_no_request_refills_a_spent_budget(client, operator, limits, path, headers, signed_in):
    limits(create="1/minute")
    creates(client, operator, 1)

    odd = client.post(path, headers=operator | headers if signed_in else headers)

    assert odd.status_code < 500
    assert creates(client, operator, 1) == [429]


@pytest.mark.parametrize("calls", [1, 2])
def test_a_store_that_goes_away_after_counting_costs_the_fields_alone(
    client, operator, limits, monkeypatch, calls
):
    limits(create="1/minute")
    for _ in range(calls - 1):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    monkeypatch.setattr(type(limiter.limiter), "get_window_stats", fail)
    response = client.post(QUICK_CLIENT, json={}, headers=operator)

    assert response.status_code == (400 if calls == 1 else 429)
    assert "RateLimit" not in response.headers
    assert response.headers.get("Retry-After") == (None if calls == 1 else "60")


def fail(*_):
    raise redis.ConnectionError
