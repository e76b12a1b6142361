import pytest

from pipelabs.core.db import db
from pipelabs.models import APIToken, AuditEvent, Client, Role
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

TOKENS = "/api/admin/tokens"
ME = "/api/auth/me"
NEW = {"name": "Onboarding", "permissions": ["clients.read", "clients.write", "self.read"]}


@pytest.fixture
def program(client, operator):
    """Return the headers of a program of the operator's."""

    def headers(**changes):
        made = client.post(TOKENS, json=NEW | changes, headers=operator)
        return {"Authorization": f"Bearer {made.json['token']}"}

    return headers


def test_token_creates_a_client_with_its_owner_as_actor(client, program, rows):
    headers = program()

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.status_code == 201
    assert response.json["metadata"]["created_by"] == "operator@desk.local"
    [row] = rows(AuditEvent, event="client.created")
    assert row.details["token"] == headers["Authorization"][7:16]
    [token] = rows(APIToken)
    assert (token.last_address, token.last_used_at is None) == ("127.0.0.1", False)


def test_token_shares_its_owner_s_rate_limits(client, operator, program):
    headers = program()

    left = client.get(ME, headers=headers).json["quota"]
    client.post(QUICK_CLIENT, json={}, headers=headers)

    after = client.get(ME, headers=operator).json["quota"]
    assert after["create"]["remaining"] == left["create"]["remaining"] - 1


def test_me_lists_the_token_s_permissions(client, program):
    response = client.get(ME, headers=program(permissions=["self.read"]))

    assert response.json["permissions"] == ["self.read"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", QUICK_CLIENT),
        ("POST", TOKENS),
        ("DELETE", f"{TOKENS}/31113ba9-d54f-4b34-8877-19e7dc1b7084"),
        ("POST", "/api/auth/password"),
        ("POST", "/api/auth/logout-all"),
        ("DELETE", "/api/auth/sessions/31113ba9-d54f-4b34-8877-19e7dc1b7084"),
        ("POST", "/api/admin/admins"),
    ],
)
def test_token_without_permission_is_denied(client, program, rows, method, path):
    headers = program(permissions=["clients.read", "self.read"])

    response = client.open(path, method=method, json=make_body(), headers=headers)

    assert response.status_code == 403
    assert "Your API token lacks the permission" in response.json["message"]
    assert rows(Client) == []


def test_revoked_token_is_rejected_at_once(client, operator, program):
    headers = program()
    [shown] = client.get(TOKENS, headers=operator).json["data"]

    revoked = client.delete(f"{TOKENS}/{shown['id']}", headers=operator)

    assert (revoked.status_code, client.get(ME, headers=headers).status_code) == (200, 401)
    assert client.delete(f"{TOKENS}/{shown['id']}", headers=operator).status_code == 404
    assert client.get(TOKENS, headers=operator).json["page"]["total"] == 0


def test_owner_lists_and_revokes_tokens_of_an_admin(client, operator, program, sign_in):
    headers, owner = program(), sign_in(Role.OWNER)
    admin_id = client.get(ME, headers=operator).json["admin"]["id"]
    theirs = f"/api/admin/admins/{admin_id}/tokens"

    [shown] = client.get(theirs, headers=owner).json["data"]
    revoked = client.delete(f"{theirs}/{shown['id']}", headers=owner)

    assert (revoked.status_code, client.get(ME, headers=headers).status_code) == (200, 401)


def test_token_from_another_address_is_rejected_and_recorded(client, program, rows):
    headers = program(addresses=["192.0.2.0/24"])

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_address")
    [row] = rows(AuditEvent, event="client.create_denied")
    assert (row.details["code"], row.details["owner"]) == ("token_address", "operator@desk.local")
    assert row.admin_id is None


def test_token_is_denied_until_the_owner_changes_the_password(client, app, program):
    headers = program()
    with app.app_context():
        db.session.query(APIToken).one()
        db.session.execute(db.text("UPDATE admins SET must_change_password = true"))
        db.session.commit()

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.json["error"]["code"] == "password_change_required"


def test_token_text_is_only_shown_at_creation(client, operator):
    made = client.post(TOKENS, json=NEW, headers=operator)

    shown = client.get(made.location, headers=operator)

    assert (made.status_code, shown.status_code) == (201, 200)
    assert shown.json["api_token"] == made.json["api_token"]
    assert made.json["token"] not in shown.text


@each(
    "header",
    ["Bearer pl_{}", "bearer pl_{}", "Bearer  pl_{}", "Bearer PL_{}", "pl_{}", "Bearer pl_{}A"],
)
def test_malformed_tokens_are_rejected(client, header):
    headers = {"Authorization": header.format("A" * 43)}

    response = client.get(ME, headers=headers)

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_invalid")
