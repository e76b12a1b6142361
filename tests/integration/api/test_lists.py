"""What all lists have in common: their members, sizes and cursors."""

import re
from datetime import timedelta
from functools import partial
from urllib.parse import quote, unquote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelabs.approvals.service import request_approval
from pipelabs.core.db import db
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.machines.service import describe
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ApprovalKind, ExchangeAPIKey, Machine, Role, now
from pipelabs.models.clients import ClientSort
from pipelabs.models.token_pairs import TokenPairSort
from pipelabs.web.operation import registry
from tests.each import each
from tests.factories import ACTOR, make_admin, make_client, make_exchange, make_item, make_session
from tests.integration.machines.rows import make_grant, make_lease, make_machine

NAMES = ["<3 & >2", "a+b c/d=e", "~s:i:1~", "ünï çødé \U0001f600", 'quo"te\\', "Émile"]
STOP = {"scope": "exchange", "exchange": "okx"}
TOKEN = {"name": "Nightly", "permissions": ["clients.read"]}


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def fetch(variant, owner):
    """Return a caller that no limit stops."""
    client = variant(RATELIMIT_GENERAL="100000/minute").test_client()
    return partial(client.get, headers=owner)


@pytest.fixture
def lists(app, client, owner, stored):
    """Return the path of each list. Each has at least three rows, with texts of every kind."""
    with app.app_context():
        make_exchange()
        clients = [make_client(name=name) for name in NAMES]
        admins = [make_admin(email=f"{name}+x@desk.local", role=Role.VIEWER) for name in "abc"]
        me = db.session.query(type(admins[0])).filter_by(email="owner@desk.local").one()
        for _ in range(3):
            make_session(me)
        symbols = ["BTC/USDT", "币安人生/USDT", "BRK.B/USDT"]
        for row in clients[:3]:
            add_client_markets(row.id, [make_item(symbol) for symbol in symbols], ACTOR)
        ids = {"client_id": clients[0].id, "admin_id": me.id}
        for number in range(3):
            add_machine(me, number)
        db.session.commit()
    for name in NAMES[:3]:
        stored(label=name, expires_at=now() + timedelta(days=3))
        client.post("/api/admin/tokens", json=TOKEN, headers=owner)
        client.post("/api/admin/stops", json=STOP | {"reason": name}, headers=owner)
    with app.app_context():
        for machine, key in zip(
            db.session.query(Machine), db.session.query(ExchangeAPIKey), strict=True
        ):
            make_lease(machine, make_grant(machine), key.id)
        db.session.commit()
    paths = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api")
        and isinstance(registry(app)[rule.endpoint].query, ListQuery)
        and not registry(app)[rule.endpoint].is_for_machines
    }
    assert len(paths) == 18
    return [re.sub("<uuid:([a-z_]+)>", lambda match: str(ids[match[1]]), path) for path in paths]


def add_machine(owner, number):
    """Add a machine with a grant that waits for approval."""
    machine = make_machine(owner, name=f"quoter-{number}")
    request_approval(ApprovalKind.MACHINE, machine.id, describe(machine), owner, ACTOR)


def read_pages(fetch, path, **query):
    """Return the pages of a list, with cursors as a person pastes them: without any escaping."""
    pages, following = [], "&".join(f"{name}={value}" for name, value in query.items())
    while True:
        pages.append(fetch(f"{path}?{following}").json)
        cursor = pages[-1]["page"]["next"]
        if cursor is None:
            return pages
        assert quote(cursor, safe="") == cursor == unquote_plus(cursor), path
        following = "&".join(
            [*(f"{name}={value}" for name, value in query.items()), f"cursor={cursor}"]
        )


def test_every_list_has_data_and_a_page(fetch, lists):
    for path in lists:
        body = fetch(path).json

        assert {"success", "request_id", "data", "page"} <= set(body), path
        assert set(body["page"]) == {"next", "previous", "total", "is_capped"}
        assert isinstance(body["data"], list)


def test_every_list_is_read_whole_by_unescaped_cursors(fetch, lists):
    for path in lists:
        whole = fetch(path, query_string={"size": 100}).json

        pages = read_pages(fetch, path, size=1)

        assert len(pages) == whole["page"]["total"] >= 3, path
        # Calls of this test may touch other members of a row.
        names = whole["data"][0].keys() & {"id", "slug", "client"}
        assert names, path
        for page, row in zip(pages, whole["data"], strict=False):
            assert [page["data"][0][name] for name in names] == [row[name] for name in names], path


def test_every_sort_is_read_whole(fetch, lists):
    sorts = {"clients": ClientSort, "token-pairs": TokenPairSort}
    for noun, names in sorts.items():
        path = f"/api/admin/{noun}"
        for name in names:
            pages = read_pages(fetch, path, size=1, sort=name)

            ids = {page["data"][0]["id"] for page in pages}
            assert len(ids) == len(pages) == pages[0]["page"]["total"], (path, name)


ALPHABET = st.sampled_from("AZaz09-_+/=~>< %\n\u00e9")


def test_no_changed_cursor_of_any_list_is_read(fetch, lists):
    for path in lists:
        reject_changes(partial(fetch, path), read_first(fetch, path)["next"])


def read_first(fetch, path):
    return fetch(path, query_string={"size": 1}).json["page"]


def reject_changes(fetch, cursor):
    """Check that no changed cursor is read."""

    @settings(max_examples=30)
    @given(st.integers(0, 300), st.integers(0, 2), st.text(ALPHABET, max_size=2))
    def rejects(start, length, inserted):
        start %= len(cursor) + 1
        changed = cursor[:start] + inserted + cursor[start + length :]
        assume(changed != cursor)
        response = fetch(query_string={"size": 1, "cursor": changed})

        assert response.status_code == 400
        assert set(response.json["error"]["fields"]) == {"cursor"}

    rejects()


@each(("size", "status"), [("1", 200), ("7", 200), ("100", 200), ("0", 400), ("101", 400)])
def test_every_list_takes_sizes_from_1_to_100(fetch, lists, size, status):
    for path in lists:
        response = fetch(path, query_string={"size": size})

        assert response.status_code == status, path
        assert status == 400 or len(response.json["data"]) <= int(size)
