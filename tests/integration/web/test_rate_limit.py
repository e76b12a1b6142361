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
from pipelabs.web import rate_limit
from pipelabs.web.rate_limit import limiter
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body, make_wallet
from tests.servers import Redis

INSIDE = [f"cmdstat_{command}" for command in ("lpush", "ltrim", "expire", "llen", "lindex")]
"""What the script calls within Redis."""
AROUND = [f"cmdstat_{command}" for command in ("hello", "client", "select", "config")]
"""What a new connection sends, and the test itself."""
LOGIN, LOGOUT, ME = "/api/auth/login", "/api/auth/logout", "/api/auth/me"
NOTHING = "/api/admin/nothing"
HEADERS = {"RateLimit", "RateLimit-Policy", "Retry-After"} | {
    f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")
}


class OwnRedis(Redis):
    """A Redis that a test can stop, freeze and start again on the same port."""

    def stop(self):
        self.kill()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def fill(self):
        """Make it reject every write, as if its memory was full."""
        self.run(lambda server: server.config_set("maxmemory", 1))

    def be_replica(self):
        """Make it read-only, as after a failover to another server."""
        self.run(lambda server: server.replicaof("127.0.0.1", 1))

    def be_primary(self):
        self.run(lambda server: server.replicaof("NO", "ONE"))

    def run(self, command):
        with redis.Redis.from_url(self.url) as server:
            return command(server)


@pytest.fixture
def own_redis(tmp_path):
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def served(app, own_redis, monkeypatch):
    """Return a test client of the service with `own_redis`, in the transaction of the test."""
    for name, value in list(vars(limiter).items()):
        # All applications of a process share the limiter, so it is restored after the test.
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
    """Return a function that sets budgets."""

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


def limit_headers(response):
    return HEADERS & {name for name, _ in response.headers}


def test_create_budget_allows_20_creates_a_minute(client, operator, sign_in, rows):
    other = sign_in(Role.OPERATOR, email="second@desk.local")

    responses = [create(client, operator) for _ in range(25)]

    assert [response.status_code for response in responses] == [201] * 20 + [429] * 5
    assert {response.json["error"]["code"] for response in responses[20:]} == {"rate_limited"}
    assert all(1 <= int(response.headers["Retry-After"]) <= 60 for response in responses[20:])
    assert len(rows(Client)) == 20
    assert create(client, other).status_code == 201
    assert remaining(client, operator) == (0, 75)


@pytest.mark.parametrize(("body", "status"), [({}, 400), (make_body(), 409), ("[", 415)])
def test_create_budget_counts_failed_creates(client, operator, sign_in, body, status):
    client.post(QUICK_CLIENT, json=make_body(), headers=sign_in(Role.OWNER))
    options = {"json": body} if isinstance(body, dict) else {"data": body}

    responses = [client.post(QUICK_CLIENT, headers=operator, **options) for _ in range(25)]

    assert [response.status_code for response in responses] == [status] * 20 + [429] * 5


def test_general_budget_allows_100_calls_a_minute(client, operator):
    responses = [client.get(NOTHING, headers=operator) for _ in range(110)]

    assert [response.status_code for response in responses] == [404] * 100 + [429] * 10
    assert 1 <= int(responses[-1].headers["Retry-After"]) <= 60


def test_create_over_its_budget_still_spends_the_general_budget(client, operator, limits):
    limits(create="2/minute")

    statuses = creates(client, operator, 4)

    assert statuses == [201, 201, 429, 429]
    assert remaining(client, operator) == (0, 96)


def test_call_over_the_general_budget_spends_nothing_else(client, operator, limits):
    limits(general="2/minute")

    statuses = creates(client, operator, 4)

    assert statuses == [201, 201, 429, 429]
    assert remaining(client, operator) == (18, 0)


def test_forbidden_create_spends_only_the_general_budget(client, viewer):
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
def test_unknown_paths_and_methods_spend_the_general_budget(client, operator, method, path, status):
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
def test_probes_sign_in_and_preflights_spend_no_budget(client, operator, method, path):
    response = client.open(path, method=method, headers=operator)

    assert limit_headers(response) == set()
    assert remaining(client, operator) == (20, 100)


def test_budget_is_shared_by_all_tokens_of_an_admin(client, app, limits):
    limits(create="3/minute")
    with app.app_context():
        make_admin(email="owner@desk.local")
        db.session.commit()
    body = {"email": "owner@desk.local", "password": PASSWORD}
    tokens = [client.post(LOGIN, json=body).json["access_token"] for _ in range(2)]

    statuses = [creates(client, {"Authorization": f"Bearer {token}"}, 2) for token in tokens]

    assert statuses == [[201, 201], [201, 429]]


def test_anonymous_calls_do_not_spend_the_budget_of_an_admin(client, operator):
    forged = {"Authorization": operator["Authorization"][:-4]}

    statuses = creates(client, forged, 3) + creates(client, {}, 3)

    assert statuses == [401] * 6
    assert remaining(client, operator) == (20, 100)


@pytest.mark.parametrize("claimed", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Cookie"])
def test_budget_can_not_be_reset_by_a_header(client, operator, limits, claimed):
    limits(create="1/minute")

    statuses = [create(client, operator | {claimed: f"a=192.0.2.{n}"}).status_code for n in (1, 2)]

    assert statuses == [201, 429]


def test_create_response_has_the_headers_of_both_budgets(client, operator):
    response = create(client, operator)

    headers = response.headers
    assert headers["RateLimit-Policy"] == '"create";q=20;w=60, "general";q=100;w=60'
    match = re.fullmatch(r'"create";r=19;t=(\d+), "general";r=99;t=(\d+)', headers["RateLimit"])
    assert match
    assert all(1 <= int(seconds) <= 60 for seconds in match.groups())
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("20", "19")
    assert 0 <= int(headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert "Retry-After" not in headers


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 403)])
def test_other_responses_have_the_headers_of_the_general_budget(client, viewer, method, status):
    path = QUICK_CLIENT if method == "POST" else NOTHING

    response = client.open(path, method=method, headers=viewer)

    assert response.status_code == status
    assert response.headers["RateLimit-Policy"] == '"general";q=100;w=60'
    assert re.fullmatch(r'"general";r=99;t=\d+', response.headers["RateLimit"])
    assert response.headers["X-RateLimit-Remaining"] == "99"


def test_x_ratelimit_headers_describe_the_budget_with_fewest_calls_left(client, operator, limits):
    limits(general="2/minute")

    response = create(client, operator)

    assert response.headers["X-RateLimit-Limit"] == "2"
    assert response.headers["X-RateLimit-Remaining"] == "1"


def test_rate_limited_response_has_all_headers_and_retry_after(client, operator, limits):
    limits(create="1/minute")
    create(client, operator)

    response = create(client, operator)

    assert response.status_code == 429
    assert limit_headers(response) == HEADERS
    assert response.headers["RateLimit-Policy"] == '"create";q=1;w=60, "general";q=100;w=60'
    wait = response.headers["Retry-After"]
    assert response.headers["RateLimit"].startswith(f'"create";r=0;t={wait}, "general";r=98;')
    assert response.headers["X-RateLimit-Remaining"] == "0"


@pytest.mark.parametrize("budget", ["create", "general"])
def test_call_succeeds_after_waiting_for_retry_after(client, operator, limits, budget):
    limits(**{budget: "2/minute"})
    with time_machine.travel(time.time(), tick=False) as clock:
        statuses = creates(client, operator, 2)
        limited = create(client, operator)

        # A little longer than Retry-After, because the clock is frozen between the calls.
        clock.shift(int(limited.headers["Retry-After"]) + 0.001)
        allowed = create(client, operator)

    assert [*statuses, limited.status_code, allowed.status_code] == [201, 201, 429, 201]


def test_retry_after_covers_all_exhausted_budgets(client, operator, limits):
    limits(create="1/5 seconds", general="2/minute")
    with time_machine.travel(time.time(), tick=False):
        create(client, operator)

        response = create(client, operator)

        assert response.status_code == 429
        assert remaining(client, operator)[1] == 0
        assert int(response.headers["Retry-After"]) > 30


def test_budget_uses_a_moving_window(client, operator, limits):
    limits(create="2/minute")
    statuses = []

    with time_machine.travel(time.time(), tick=False) as clock:
        for wait in (0, 50, 8, 4, 1):
            clock.shift(wait)
            statuses.append(create(client, operator).status_code)

    assert statuses == [201, 201, 429, 201, 429]


def test_rate_limited_write_has_an_audit_row_and_a_read_has_none(client, operator, rows, limits):
    limits(general="1/minute")
    client.get(NOTHING, headers=operator)

    limited = [client.get(NOTHING, headers=operator), create(client, operator)]

    assert [response.status_code for response in limited] == [429, 429]
    [row] = rows(AuditEvent)
    assert (row.status, row.http, row.actor) == ("RATE_LIMITED", 429, "operator@desk.local")
    assert (row.event, row.request_id) == ("client.create_denied", limited[1].json["request_id"])


@pytest.mark.parametrize("state", ["stop", "freeze", "fill"])
def test_limits_fall_back_to_memory_without_redis(served, own_redis, operator, state):
    getattr(own_redis, state)()

    statuses = creates(served, operator, 6)

    assert statuses == [201] * 3 + [429] * 3


def test_a_call_of_both_budgets_calls_redis_once(served, own_redis, operator):
    creates(served, operator, 1)
    own_redis.run(lambda server: server.config_resetstat())

    assert creates(served, operator, 1) == [201]

    counted = own_redis.run(lambda server: server.info("commandstats"))
    called = {name: facts["calls"] for name, facts in counted.items()}
    assert called.pop("cmdstat_evalsha") == 1
    assert {"cmdstat_lpush"} <= called.keys() <= {*INSIDE, *AROUND}


@pytest.mark.parametrize("change", ["script flush", "client kill type normal"])
def test_budgets_survive_a_redis_that_forgot_the_script_or_the_connection(
    served, own_redis, operator, change
):
    before = creates(served, operator, 2)
    own_redis.run(lambda server: server.execute_command(*change.split()))

    assert before + creates(served, operator, 2) == [201, 201, 201, 429]
    assert own_redis.run(lambda server: server.llen(server.keys("*create*")[0])) == 3


def test_limits_are_counted_in_memory_if_redis_fails_right_after_it_recovered(
    served, own_redis, operator, monkeypatch
):
    def fail(*_):
        # So does another request at the same time.
        limiter._storage_dead = True
        raise redis.ConnectionError

    monkeypatch.setattr(rate_limit, "_evaluate", fail)

    assert creates(served, operator, 4) == [201, 201, 201, 429]


@pytest.mark.parametrize("state", ["stop", "freeze"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/ready"), ("GET", ME), ("GET", NOTHING), ("POST", QUICK_CLIENT), ("POST", LOGOUT)],
)
def test_calls_never_fail_without_redis(served, own_redis, operator, state, method, path):
    getattr(own_redis, state)()

    response = served.open(path, method=method, headers=operator)

    assert response.status_code < 500


def test_limits_survive_redis_stopping_between_calls(served, own_redis, operator):
    before = creates(served, operator, 1)
    own_redis.stop()

    after = creates(served, operator, 4)

    assert before + after == [201, 201, 201, 201, 429]


@pytest.mark.own_database
def test_concurrent_calls_are_counted_in_memory_when_redis_freezes(served, own_redis, operator):
    clients = [served.application.test_client() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda client: create(client, operator), clients))
        own_redis.freeze()
        responses = list(pool.map(lambda client: create(client, operator), clients))

    statuses = collections.Counter(response.status_code for response in responses)
    assert statuses == {201: 3, 429: 5}


def test_rate_limited_response_has_retry_after_without_redis(served, own_redis, operator):
    own_redis.stop()
    creates(served, operator, 3)

    response = create(served, operator)

    assert response.status_code == 429
    assert limit_headers(response) == HEADERS
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_limits_are_counted_in_memory_while_redis_is_read_only(served, own_redis, operator):
    assert creates(served, operator, 1) == [201]
    own_redis.be_replica()

    assert served.get("/ready", headers=operator).json["parts"]["redis"] == "not writable"
    assert creates(served, operator, 4) == [201, 201, 201, 429]

    own_redis.be_primary()
    assert served.get("/ready", headers=operator).json["parts"]["redis"] == "ok"


def test_ready_reports_redis_as_not_writable_and_back(served, own_redis, operator):
    states = []

    for change in (own_redis.stop, own_redis.start):
        change()
        states.append(served.get("/ready", headers=operator).json["parts"]["redis"])

    assert states == ["not writable", "ok"]


def test_limits_return_to_redis_automatically(served, own_redis, operator):
    own_redis.stop()
    without_redis = creates(served, operator, 4)
    own_redis.start()

    with time_machine.travel(time.time() + 5, tick=True):
        with_redis = creates(served, operator, 4)

    assert without_redis == with_redis == [201, 201, 201, 429]
    assert own_redis.run(lambda server: len(server.keys("*create*"))) == 1


def test_revoked_token_stays_revoked_after_flushing_redis(client, operator, app):
    logout = client.post(LOGOUT, headers=operator)

    redis.Redis.from_url(app.config["RATELIMIT_STORAGE_URI"]).flushdb()
    response = client.get(ME, headers=operator)

    assert (logout.status_code, response.status_code) == (200, 401)


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
def test_malformed_requests_do_not_reset_a_budget(
    client, operator, limits, path, headers, signed_in
):
    limits(create="1/minute")
    creates(client, operator, 1)

    malformed = client.post(path, headers=operator | headers if signed_in else headers)

    assert malformed.status_code < 500
    assert creates(client, operator, 1) == [429]


def test_denials_in_memory_are_counted_in_the_metrics(served, own_redis, operator, increases):
    own_redis.stop()

    statuses = creates(served, operator, 5)

    assert statuses.count(429) == 2
    assert increases("pipelabs_limit_denials_total") == {("create",): 2}
    assert increases("pipelabs_limits_in_memory") == {(): 1}
