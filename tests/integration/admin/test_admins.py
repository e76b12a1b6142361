import re

import pytest

from pipelabs.models import Admin, APIToken, Approval, AuditEvent, Role, Session
from tests.form_client import Browser
from tests.integration.admin.text import words

ADMINS = "/admin/admins"
APPROVALS = "/admin/approvals"
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
    """Open a form and submit it."""
    browser.get(address)
    return browser.post(address, **fields)


def test_list_page_shows_admins_and_their_status(owner, path):
    page = owner.get(ADMINS).text

    assert f'href="{path}"' in page
    assert "other@desk.local" in page


def test_admin_pages_are_denied_to_other_roles(other, path):
    page = other.get("/admin/clients").text

    assert f'href="{ADMINS}"' not in page
    assert other.get(ADMINS).status_code == 403
    assert act(other, f"{path}/disable").status_code == 403


def test_create_admin_page_shows_a_one_time_password(app, owner, rows):
    made = owner.follow(act(owner, f"{ADMINS}/new", email="new@desk.local", role="viewer"))
    [password] = ONE_TIME.findall(made.text)
    browser = Browser(app)
    browser.post("/admin/login", email="new@desk.local", password=password)

    going_to = "/admin/account/password?next=/admin/clients"
    assert browser.get("/admin/clients").location == going_to
    assert password not in str([row.details for row in rows(AuditEvent)])


def test_create_admin_page_shows_a_duplicate_at_the_field(owner, path):
    refused = act(owner, f"{ADMINS}/new", email=OTHER, role="viewer")

    assert refused.status_code == 409
    assert "already exists" in refused.text
    assert 'value="other@desk.local"' in refused.text


def test_change_role_page_takes_effect_with_the_next_request(owner, other, path, rows):
    changed = act(owner, f"{path}/role", role="viewer")

    assert (changed.status_code, changed.location) == (303, path)
    assert "viewer" in owner.get(path).text
    assert other.get("/admin/clients/new").status_code == 403
    assert rows(AuditEvent, event="admin.role_changed")


def test_create_admin_page_offers_no_owner(owner, rows):
    page = owner.get(f"{ADMINS}/new").text
    refused = owner.post(f"{ADMINS}/new", email="new@desk.local", role="owner")

    assert all('value="owner"' not in text for text in (page, refused.text))
    assert refused.status_code == 400
    assert "then change the role to owner" in refused.text
    assert len(rows(Admin)) == 1


def test_owner_role_page_requests_an_approval(owner, second, path, rows):
    asked = words(owner.get(f"{path}/role"))
    requested = act(owner, f"{path}/role", role="owner")
    page, review = words(owner.get(requested.location)), f"{APPROVALS}/{rows(Approval)[0].id}"
    act(second, f"{review}/approve", version="1")

    assert "Another owner has to approve that somebody becomes an owner." in asked
    assert requested.location == path
    assert "Owner role requested. Another owner has to approve it." in page
    assert "owner@desk.local requested the owner role." in page
    assert "Review the request" in page
    assert rows(Admin, email=OTHER)[0].role is Role.OWNER
    assert "Review the request" not in words(owner.get(path))


def test_enable_page_of_an_owner_requests_an_approval(owner, second, rows):
    [admin] = rows(Admin, email="second@desk.local")
    path = f"{ADMINS}/{admin.id}"
    act(owner, f"{path}/disable")
    page = words(owner.get(path))
    asked = words(owner.get(f"{path}/enable"))
    act(owner, f"{path}/enable")
    after = words(owner.get(path))

    assert "Request enabling" in page
    assert "Once another owner has approved it" in asked
    assert "Enabling requested. Another owner has to approve it." in after
    assert "owner@desk.local requested enabling this owner." in after
    assert rows(Admin, email="second@desk.local")[0].is_disabled


def test_reset_password_is_not_offered_for_an_owner(owner, second, rows):
    [admin] = rows(Admin, email="second@desk.local")
    path = f"{ADMINS}/{admin.id}"

    page = owner.get(path).text
    refused = act(owner, f"{path}/reset-password")

    assert f"{path}/reset-password" not in page
    assert refused.status_code == 409
    assert "only be reset on the command line" in words(refused)


def test_disable_and_enable_pages(owner, other, path):
    asked = owner.get(f"{path}/disable")
    act(owner, f"{path}/disable")
    shut = other.get("/admin/clients")
    disabled = owner.get(path).text
    act(owner, f"{path}/enable")

    assert OTHER in asked.text
    assert shut.status_code == 303
    assert "disabled" in disabled
    assert "is now enabled" in owner.get(path).text


def test_end_sessions_page_ends_every_session(owner, other, path):
    ended = act(owner, f"{path}/end-sessions")

    assert ended.status_code == 303
    assert other.get("/admin/clients").status_code == 303


def test_reset_password_page_shows_the_password_once(owner, other, path, rows):
    reset = owner.follow(act(owner, f"{path}/reset-password"))

    assert len(ONE_TIME.findall(reset.text)) == 1
    assert all(row.revoked_at for row in rows(Session) if f"{row.admin_id}" in path)


def test_reset_password_page_offers_to_revoke_the_tokens(owner, other, path, rows):
    before = owner.get(f"{path}/reset-password").text
    for name in ("One", "Two"):
        act(other, "/admin/account/tokens/new", name=name, permissions=["self.read"])
    offered = owner.get(f"{path}/reset-password").text

    kept = owner.follow(act(owner, f"{path}/reset-password")).text
    act(owner, f"{path}/reset-password", revoke_tokens="on")
    after = owner.get(f"{path}/reset-password").text

    assert ("API token" in before, "API token" in after) == (False, False)
    assert "They have 2 API tokens, which work again" in offered
    assert 'name="revoke_tokens"' in offered
    assert "Their 2 API tokens work again" in kept
    assert all(row.revoked_at for row in rows(APIToken))


def test_owner_revokes_tokens_of_other_admins(owner, other, path, rows):
    act(other, "/admin/account/tokens/new", name="Bot", permissions=["self.read"])
    [token] = rows(APIToken)
    asked = owner.get(f"{path}/tokens/{token.id}/revoke")
    act(owner, f"{path}/tokens/{token.id}/revoke")

    assert "Revoke Bot" in asked.text
    assert rows(APIToken)[0].revoked_at


@pytest.mark.parametrize(
    ("act_on", "fields"), [("role", {"role": "viewer"}), ("disable", {}), ("reset-password", {})]
)
def test_own_account_cannot_be_changed_here(owner, rows, act_on, fields):
    [own] = rows(Admin)
    refused = act(owner, f"{ADMINS}/{own.id}/{act_on}", **fields)

    assert refused.status_code == 409
    assert rows(Admin)[0].role is Role.OWNER


def test_unknown_admin_is_not_found(owner):
    unknown = f"{ADMINS}/31113ba9-d54f-4b34-8877-19e7dc1b7084"

    assert owner.get(unknown).status_code == 404
    assert act(owner, f"{unknown}/disable").status_code == 404
