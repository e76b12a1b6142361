import re

import pytest

from pipelabs.core.db import db
from pipelabs.models import Client, Role, Tier
from tests.factories import make_client

BULK = "/admin/clients/bulk"


@pytest.fixture
def client_ids(app):
    with app.app_context():
        ids = [make_client(name=f"Client {number}", tier=Tier.STANDARD).id for number in range(3)]
        db.session.commit()
    return ids


def rows_of(page):
    return re.findall(r'name="rows" value="([^"]+)"', page.text)


def test_bulk_change_is_shown_and_then_applied(desk, client_ids, rows):
    back = "/admin/clients?tier=Standard"
    listed = desk.get(back).text
    assert listed.count('name="rows"') == 3

    preview = desk.send(f"{BULK}/preview", change="tier:Premium", rows=client_ids[:2], back=back)
    applied = desk.send(f"{BULK}/apply", change="tier:Premium", rows=rows_of(preview), back=back)

    assert "2 clients will be changed" in preview.text
    assert (applied.status_code, applied.location) == (303, back)
    assert "2 clients were changed." in desk.get(back).text
    tiers = {client.id: client.tier for client in rows(Client)}
    assert [tiers[client_id] for client_id in client_ids] == [
        Tier.PREMIUM,
        Tier.PREMIUM,
        Tier.STANDARD,
    ]


def test_bulk_change_of_one_client_says_so(desk, client_ids):
    preview = desk.send(f"{BULK}/preview", change="tier:Premium", rows=client_ids[:1])
    desk.send(f"{BULK}/apply", change="tier:Premium", rows=rows_of(preview))

    assert "1 client was changed." in desk.get("/admin/clients").text


def test_bulk_change_says_what_was_not_changed(desk, client_ids, change):
    preview = desk.send(f"{BULK}/preview", change="status:paused", rows=client_ids[:1])
    change(Client, version=7)

    desk.send(f"{BULK}/apply", change="status:paused", rows=rows_of(preview))

    page = desk.get("/admin/clients").text
    assert "0 clients were changed." in page
    assert "Client 0 was not changed." in page


def test_bulk_change_to_offboarded_warns(desk, client_ids):
    preview = desk.send(f"{BULK}/preview", change="status:offboarded", rows=client_ids)

    assert "It pauses every market of these clients." in preview.text
    assert "button-danger" in preview.text


def test_bulk_change_that_changes_nothing_offers_no_button(desk, client_ids):
    preview = desk.send(f"{BULK}/preview", change="tier:Standard", rows=client_ids)

    assert "Nothing will be changed" in preview.text
    assert "Already Standard." in preview.text
    assert rows_of(preview) == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"change": "tier:Premium"}, "Select clients in the list first."),
        ({"change": "", "rows": "x"}, "Choose what to change."),
        ({"change": "tier:Gold", "rows": "x"}, "Choose what to change."),
        ({"change": "tier:Premium", "rows": "X!"}, "This is not an id."),
    ],
)
def test_bulk_change_without_a_selection_or_a_change_is_400(desk, fields, sentence):
    response = desk.send(f"{BULK}/preview", **fields)

    assert response.status_code == 400
    assert sentence in response.text


@pytest.mark.parametrize("row", ["x", "31113ba9-d54f-4b34-8877-19e7dc1b7084", "-" * 36 + ":1"])
def test_apply_rejects_rows_that_no_page_has_shown(desk, row):
    response = desk.send(f"{BULK}/apply", change="tier:Premium", rows=row)

    assert response.status_code == 400


def test_viewers_select_nothing(console, client_ids):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert 'name="rows"' not in viewer.get("/admin/clients").text
    assert viewer.send(f"{BULK}/preview", change="tier:Premium", rows=client_ids).status_code == 403


def test_bulk_change_goes_back_to_console_pages_only(desk, client_ids):
    preview = desk.send(
        f"{BULK}/preview", change="tier:Premium", rows=client_ids, back="//evil.example"
    )

    assert "evil.example" not in preview.text
