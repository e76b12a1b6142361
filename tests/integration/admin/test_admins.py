import re

import pytest

from pipelabs.models import Admin, APIToken, AuditEvent, Role, Session
from tests.form_client import Browser

ADMINS = "/admin/admins"
OTHER = "other@desk.local"
ONE_TIME = re.compile(r'<code class="mono" aria-labelledby="once">([^<]+)</code>')


@pytest.fixture
def owner(console):
    return console(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def other(console):
    """A browser of an operator whom the owner manages."""
    return console(Role.OPERATOR, email=OTHER)


@pytest.fixture
def path(other, rows):
    """The page of that operator."""
    [admin] = rows(Admin, email=OTHER)
    return f"{ADMINS}/{admin.id}"


def act(browser, address, **fields):
    """Answer what a page asks."""
    browser.get(address)
    return browser.post(address, **fields)


def test_the_list_shows_who_there_is_and_how_he_stands(owner, path):
    page = owner.get(ADMINS).text

    assert f'href="{path}"' in page
    assert "other@desk.local" in page


def test_admins_are_for_owners_alone(other, path):
    page = other.get("/admin/clients").text

    assert f'href="{ADMINS}"' not in page
    assert other.get(ADMINS).status_code == 403
    assert act(other, f"{path}/disable").status_code == 403


def test_a_new_admin_gets_a_password_for_one_sign_in(app, owner, rows):
    made = act(owner, f"{ADMINS}/new", email="new@desk.local", role="viewer")
    [password] = ONE_TIME.findall(made.text)
    browser = Browser(app)
    browser.post("/admin/login", email="new@desk.local", password=password)

    assert browser.get("/admin/clients").location == "/admin/account/password"
    assert password not in str([row.details for row in rows(AuditEvent)])


def test_an_admin_who_is_there_is_told_beside_the_field(owner, path):
    refused = act(owner, f"{ADMINS}/new", email=OTHER, role="viewer")

    assert refused.status_code == 409
    assert "already exists" in refused.text
    assert 'value="other@desk.local"' in refused.text


def test_a_role_is_changed_and_counts_at_the_next_click(owner, other, path, rows):
    changed = act(owner, f"{path}/role", role="viewer")

    assert (changed.status_code, changed.location) == (303, path)
    assert "viewer" in owner.get(path).text
    assert other.get("/admin/clients/new").status_code == 403
    assert rows(AuditEvent, event="admin.role_changed")


def test_disabling_ends_it_all_and_enabling_lets_in_again(owner, other, path):
    asked = owner.get(f"{path}/disable")
    act(owner, f"{path}/disable")
    shut = other.get("/admin/clients")
    disabled = owner.get(path).text
    act(owner, f"{path}/enable")

    assert OTHER in asked.text
    assert shut.status_code == 303
    assert "disabled" in disabled
    assert "is now enabled" in owner.get(path).text


def test_every_session_of_an_admin_is_ended(owner, other, path):
    ended = act(owner, f"{path}/end-sessions")

    assert ended.status_code == 303
    assert other.get("/admin/clients").status_code == 303


def test_a_reset_password_is_shown_once(owner, other, path, rows):
    reset = act(owner, f"{path}/reset-password")

    assert len(ONE_TIME.findall(reset.text)) == 1
    assert all(row.revoked_at for row in rows(Session) if f"{row.admin_id}" in path)


def test_an_owner_revokes_anybody_s_token(owner, other, path, rows):
    act(other, "/admin/account/tokens/new", name="Bot", permissions=["self.read"])
    [token] = rows(APIToken)
    asked = owner.get(f"{path}/tokens/{token.id}/revoke")
    act(owner, f"{path}/tokens/{token.id}/revoke")

    assert "Revoke Bot" in asked.text
    assert rows(APIToken)[0].revoked_at


@pytest.mark.parametrize(
    ("act_on", "fields"), [("role", {"role": "viewer"}), ("disable", {}), ("reset-password", {})]
)
def test_nobody_does_it_to_the_own_account(owner, rows, act_on, fields):
    [own] = rows(Admin)
    refused = act(owner, f"{ADMINS}/{own.id}/{act_on}", **fields)

    assert refused.status_code == 409
    assert rows(Admin)[0].role is Role.OWNER


def test_an_admin_who_is_not_there_is_not_found(owner):
    nobody = f"{ADMINS}/31113ba9-d54f-4b34-8877-19e7dc1b7084"

    assert owner.get(nobody).status_code == 404
    assert act(owner, f"{nobody}/disable").status_code == 404
