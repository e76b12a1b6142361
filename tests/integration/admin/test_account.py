import re

import pytest

from pipelabs.models import Admin, APIToken, AuditEvent, Role, Session
from tests.factories import PASSWORD
from tests.form_client import Browser

ACCOUNT = "/admin/account"
EMAIL = "desk@desk.local"
NEW_PASSWORD = "another-Quiet-evening-43"
CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
SHOWN = re.compile(r"pl_[A-Za-z0-9_-]{43}")


@pytest.fixture
def elsewhere(app, desk):
    """The same admin in another browser."""
    browser = Browser(app)
    browser.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/140.0"
    browser.post("/admin/login", email=EMAIL, password=PASSWORD)
    return browser


@pytest.mark.usefixtures("elsewhere")
def test_account_page_lists_sessions(desk):
    page = desk.get(ACCOUNT).text

    assert "Firefox on Linux" in page
    assert "this session" in page
    assert "127.0.0.1" in page


def test_end_session_ends_another_browser_s_session(desk, elsewhere, rows):
    [other] = [row for row in rows(Session) if "Firefox" in row.user_agent]
    desk.get(ACCOUNT)
    ended = desk.post(f"{ACCOUNT}/sessions/{other.id}/end")

    assert (ended.status_code, ended.location) == (303, ACCOUNT)
    assert elsewhere.get(ACCOUNT).status_code == 303
    assert desk.get(ACCOUNT).status_code == 200


def test_end_other_sessions_keeps_this_one(desk, elsewhere):
    desk.get(ACCOUNT)
    desk.post(f"{ACCOUNT}/sessions/end-others")

    assert elsewhere.get(ACCOUNT).status_code == 303
    assert "All other sessions ended." in desk.get(ACCOUNT).text


def test_change_password_keeps_this_session_and_ends_the_others(app, desk, elsewhere):
    desk.get(f"{ACCOUNT}/password")
    changed = desk.post(f"{ACCOUNT}/password", **CHANGE)
    again = Browser(app).post("/admin/login", email=EMAIL, password=NEW_PASSWORD)

    assert (changed.status_code, changed.location) == (303, ACCOUNT)
    assert desk.get(ACCOUNT).status_code == 200
    assert elsewhere.get(ACCOUNT).status_code == 303
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"current_password": "not-the-Password-44"}, "This is not your password."),
        ({"new_password": "short"}, "12"),
        ({"new_password": PASSWORD}, "The new password must differ from the current one."),
    ],
)
def test_change_password_errors_are_shown_at_the_field(desk, changes, sentence):
    desk.get(f"{ACCOUNT}/password")
    refused = desk.post(f"{ACCOUNT}/password", **(CHANGE | changes))

    assert refused.status_code == 400
    assert sentence in refused.text
    assert 'aria-invalid="true"' in refused.text


def test_change_password_is_throttled(desk):
    for _ in range(6):
        desk.get(f"{ACCOUNT}/password")
        refused = desk.post(f"{ACCOUNT}/password", **(CHANGE | {"current_password": "x" * 12}))

    assert refused.status_code == 429


def test_pages_redirect_until_the_password_is_changed(console):
    browser = console(Role.VIEWER, email="new@desk.local", must_change_password=True)
    first = browser.get("/admin/clients")
    browser.get(first.location)
    browser.post(first.location, **CHANGE)

    going_to = f"{ACCOUNT}/password?next=/admin/clients"
    assert (first.status_code, first.location) == (303, going_to)
    assert browser.get("/admin/clients").status_code == 200


def test_create_token_shows_the_text_once(desk, rows):
    desk.get(f"{ACCOUNT}/tokens/new")
    fields = {"name": "Bot & sons", "permissions": ["clients.read", "self.read"]}
    made = desk.follow(desk.post(f"{ACCOUNT}/tokens/new", **fields))
    listed = desk.get(ACCOUNT).text

    [text] = set(SHOWN.findall(made.text))
    [token] = rows(APIToken)
    assert (token.permissions, token.last_four) == (["clients.read", "self.read"], text[-4:])
    assert text not in listed
    assert "Bot &amp; sons" in listed
    assert text not in str([row.details for row in rows(AuditEvent)])


def test_create_token_form_shows_errors_and_keeps_input(desk, rows):
    desk.get(f"{ACCOUNT}/tokens/new")
    refused = desk.post(f"{ACCOUNT}/tokens/new", name="Bot", addresses="10.0.0.0/8\nnowhere")

    assert refused.status_code == 400
    assert 'value="Bot"' in refused.text
    assert "nowhere" in refused.text
    assert 'id="permissions-errors"' in refused.text
    assert rows(APIToken) == []


def test_revoke_token_asks_for_confirmation(desk, client, rows):
    desk.get(f"{ACCOUNT}/tokens/new")
    fields = {"name": "Bot", "permissions": ["self.read"]}
    made = desk.follow(desk.post(f"{ACCOUNT}/tokens/new", **fields))
    [text] = set(SHOWN.findall(made.text))
    path = f"{ACCOUNT}/tokens/{rows(APIToken)[0].id}/revoke"
    asked = desk.get(path)
    desk.post(path)

    assert "Bot" in asked.text
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get("/api/auth/me", headers=headers).status_code == 401
    assert desk.get(path).status_code == 404


def test_tokens_of_other_admins_are_not_found(desk, console, rows):
    other = console(Role.OPERATOR, email="other@desk.local")
    other.get(f"{ACCOUNT}/tokens/new")
    other.post(f"{ACCOUNT}/tokens/new", name="Theirs", permissions=["self.read"])
    path = f"{ACCOUNT}/tokens/{rows(APIToken)[0].id}/revoke"
    desk.get(ACCOUNT)

    assert desk.get(path).status_code == 404
    assert desk.post(path).status_code == 404
    assert "Theirs" not in desk.get(ACCOUNT).text
    assert rows(Admin, email=EMAIL)
