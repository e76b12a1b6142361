"""New secrets are shown until the admin is done, and a repeated form makes no second one."""

import re
from datetime import timedelta

import pytest

from pipelabs.jobs import tasks
from pipelabs.models import (
    Admin,
    APIToken,
    AuditEvent,
    IdempotencyRecord,
    Machine,
    Role,
    now,
)
from pipelabs.web.shown_once import LIFETIME
from tests.integration.admin.text import CODE, words

ACCOUNT, ADMINS, MACHINES = "/admin/account", "/admin/admins", "/admin/machines"
TOKEN = re.compile(r"pl_[A-Za-z0-9_-]{43}")
PASSWORD = re.compile(r'<code class="mono" aria-labelledby="once">([^<]+)<')
REPEATED = "This form was sent twice."


@pytest.fixture
def other_id(app, console, rows):
    console(Role.OPERATOR, email="other@desk.local")
    [admin] = rows(Admin, email="other@desk.local")
    return admin.id


@pytest.fixture
def forms(other_id):
    """The path and the fields of each form that makes a secret, with its pattern and event."""
    token = {"name": "Bot", "permissions": ["self.read"]}
    machine = {"name": "quoter-1", "addresses": "192.0.2.0/24"}
    new = {"email": "new@desk.local", "role": "viewer"}
    return {
        f"{ACCOUNT}/tokens/new": (token, TOKEN, "api_token.create_replayed"),
        f"{ADMINS}/new": (new, PASSWORD, "admin.create_replayed"),
        f"{ADMINS}/{other_id}/reset-password": ({}, PASSWORD, "admin.password_reset_replayed"),
        f"{MACHINES}/new": (machine, CODE, "machine.invite_replayed"),
    }


@pytest.fixture
def created(owner):
    """The page of a new API token, and its path."""
    owner.get(f"{ACCOUNT}/tokens/new")
    sent = owner.post(f"{ACCOUNT}/tokens/new", name="Bot", permissions=["self.read"])
    return sent.location


def test_secret_is_shown_again_when_its_page_is_reloaded(owner, forms):
    for path, (fields, pattern, _) in forms.items():
        owner.get(path)
        sent = owner.post(path, **fields)
        first, again = owner.get(sent.location), owner.get(sent.location)

        assert sent.status_code == 303
        assert first.headers["Cache-Control"] == "no-store"
        assert set(pattern.findall(first.text)) == set(pattern.findall(again.text)) != set(), path


def test_repeated_form_makes_nothing_and_leads_to_the_secret(owner, forms, rows):
    for path, (fields, pattern, event) in forms.items():
        owner.get(path)
        form = fields | {"csrf_token": owner.token}
        first, again = owner.post(path, **form), owner.post(path, **form)
        shown, still = owner.get(first.location), owner.get(again.location)

        assert again.location == first.location
        assert REPEATED in words(shown)
        assert REPEATED not in words(still)
        assert len(set(pattern.findall(shown.text))) == 1
        [row] = rows(AuditEvent, event=event)
        assert (row.status, row.http) == ("SUCCESS", 303)
    assert (len(rows(APIToken)), len(rows(Machine)), len(rows(Admin))) == (1, 1, 3)
    assert len(rows(AuditEvent, event="admin.password_reset")) == 1


def test_repeated_code_form_makes_no_second_code(owner, rows):
    owner.get(f"{MACHINES}/new")
    owner.post(f"{MACHINES}/new", name="quoter-1", addresses="192.0.2.0/24")
    [machine] = rows(Machine)
    path = f"{MACHINES}/{machine.id}/code"
    owner.get(path)
    form = {"version": machine.version, "csrf_token": owner.token}

    first, again = owner.post(path, **form), owner.post(path, **form)

    assert (first.status_code, again.location) == (303, first.location)
    assert len(rows(AuditEvent, event="machine.invited")) == 2


def test_form_that_is_opened_again_makes_another_secret(owner, rows):
    for _ in range(2):
        owner.get(f"{ACCOUNT}/tokens/new")
        owner.post(f"{ACCOUNT}/tokens/new", name="Bot", permissions=["self.read"])

    assert len(rows(APIToken)) == 2


def test_form_with_errors_can_be_sent_again(owner, rows):
    owner.get(f"{ACCOUNT}/tokens/new")
    token = owner.token
    wrong = owner.post(f"{ACCOUNT}/tokens/new", name="Bot")
    right = owner.post(
        f"{ACCOUNT}/tokens/new", name="Bot", permissions=["self.read"], csrf_token=token
    )

    assert (wrong.status_code, right.status_code) == (400, 303)
    assert TOKEN.search(owner.follow(right).text)


def test_done_erases_the_secret_and_a_repetition_is_still_known(owner, forms, rows):
    for path, (fields, pattern, _) in forms.items():
        owner.get(path)
        form = fields | {"csrf_token": owner.token}
        sent = owner.post(path, **form)
        owner.get(sent.location)
        done = owner.post(f"{sent.location}/done")
        gone = owner.get(sent.location)
        again = owner.get(path) and owner.post(path, **form)

        assert done.status_code == 303
        assert owner.get(done.location).status_code == 200
        assert gone.status_code == 404
        assert "This secret is no longer shown." in gone.text
        assert not pattern.search(gone.text)
        assert owner.post(f"{sent.location}/done").status_code == 404
        assert again.location == sent.location
    assert {record.body for record in rows(IdempotencyRecord)} == {b""}


def test_secret_is_stored_encrypted(owner, created, rows):
    [text] = set(TOKEN.findall(owner.get(created).text))
    [record] = rows(IdempotencyRecord)

    assert record.body
    assert text.encode() not in record.body
    assert text not in created


def test_secret_is_shown_to_the_session_that_made_it_only(owner, second, console, created):
    elsewhere = console(Role.OWNER, email="owner@desk.local")

    assert owner.get(created).status_code == 200
    assert elsewhere.get(created).status_code == 404
    assert second.get(created).status_code == 404
    assert second.send(f"{created}/done").status_code == 404


def test_secret_is_shown_for_15_minutes(owner, created, change):
    change(IdempotencyRecord, created_at=now() - LIFETIME)

    assert owner.get(created).status_code == 404


def test_expired_secrets_are_erased_every_minute(run_task, owner, created, change, rows):
    run_task(tasks.erase_shown_secrets)
    [kept] = rows(IdempotencyRecord)
    change(IdempotencyRecord, created_at=now() - LIFETIME - timedelta(minutes=1))
    run_task(tasks.erase_shown_secrets)
    [erased] = rows(IdempotencyRecord)

    assert kept.body
    assert erased.body == b""
