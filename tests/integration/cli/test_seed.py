import pytest

from pipelabs.models import Admin, AuditEvent, Role, Session
from tests.each import each
from tests.factories import PASSWORD

LOGIN, ME = "/api/auth/login", "/api/auth/me"
NEW_PASSWORD = "a-Short-loud-morning-24"
EMAIL = "owner@desk.local"


@pytest.fixture
def seed(app):
    def run(*words, given=f"{PASSWORD}\n"):
        words = ("seed", "admin", *words, "--password-stdin")
        return app.test_cli_runner().invoke(args=words, input=given)

    return run


def statuses(client, *passwords):
    return [
        client.post(LOGIN, json={"email": EMAIL, "password": one}).status_code for one in passwords
    ]


def test_seed_admin_creates_an_admin_who_can_sign_in(seed, client, rows):
    result = seed(EMAIL, "--role", "owner")

    assert (result.exit_code, result.stdout) == (0, f"{EMAIL}: created\n")
    assert [(row.email, row.role) for row in rows(Admin)] == [(EMAIL, Role.OWNER)]
    assert statuses(client, PASSWORD) == [200]


def test_seed_admin_role_is_operator_by_default(seed, rows):
    seed(EMAIL)

    assert [row.role for row in rows(Admin)] == [Role.OPERATOR]


def test_seed_admin_does_not_change_an_existing_admin(seed, client, rows):
    seed(EMAIL, "--role", "viewer")

    result = seed("OWNER@desk.local", "--role", "owner", given=f"{NEW_PASSWORD}\n")

    assert (result.exit_code, result.stdout) == (0, f"{EMAIL}: already there\n")
    assert [row.role for row in rows(Admin)] == [Role.VIEWER]
    assert statuses(client, PASSWORD, NEW_PASSWORD) == [200, 401]
    assert [row.event for row in rows(AuditEvent, actor=None)] == ["admin.sign_in_denied"]


@pytest.mark.parametrize(
    ("words", "told"),
    [((), ", 1 API token still works"), (("--revoke-tokens",), "")],
)
def test_seed_admin_reset_says_how_many_tokens_still_work(seed, client, sign_in, words, told):
    header = sign_in(Role.OWNER, email=EMAIL)
    body = {"name": "Bot", "permissions": ["clients.read"]}
    client.post("/api/admin/tokens", json=body, headers=header)

    result = seed(EMAIL, "--reset-password", *words, given=f"{NEW_PASSWORD}\n")

    assert result.stdout == f"{EMAIL}: password reset, sessions ended{told}\n"


def test_seed_admin_reset_changes_the_password_and_ends_sessions(seed, client, sign_in, rows):
    header = sign_in(Role.OWNER, email=EMAIL)

    result = seed(EMAIL, "--reset-password", given=f"{NEW_PASSWORD}\n")

    assert (result.exit_code, result.stdout) == (0, f"{EMAIL}: password reset, sessions ended\n")
    assert client.get(ME, headers=header).status_code == 401
    assert [bool(row.revoked_at) for row in rows(Session)] == [True]
    assert [row.event for row in rows(AuditEvent)] == ["admin.password_reset"]


def test_seed_admin_reset_invalidates_the_old_password(seed, client):
    seed(EMAIL)

    seed(EMAIL, "--reset-password", given=f"{NEW_PASSWORD}\n")

    assert statuses(client, PASSWORD, NEW_PASSWORD) == [401, 200]


def test_seed_admin_reset_creates_no_admin(seed, rows):
    result = seed(EMAIL, "--reset-password")

    assert (result.exit_code, result.stderr) == (1, f"Error: There is no admin {EMAIL}.\n")
    assert rows(Admin) == rows(AuditEvent) == []


@pytest.mark.parametrize("reset", [False, True], ids=["new", "reset"])
@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("", "A password must have 12 to 128 characters."),
        ("too-short", "A password must have 12 to 128 characters."),
        ("password1234", "This password is too common. Choose another one."),
        ("ababababababab", "This password only repeats a few characters."),
    ],
    ids=["none", "short", "common", "repeated"],
)
def test_seed_admin_rejects_a_weak_password(seed, rows, reset, password, sentence):
    if reset:
        seed(EMAIL)
    before = [row.password_hash for row in rows(Admin)]

    result = seed(EMAIL, *["--reset-password"] * reset, given=f"{password}\n")

    assert (result.exit_code, result.stderr) == (1, f"Error: {sentence}\n")
    assert [row.password_hash for row in rows(Admin)] == before


@each(
    ("email", "sentence"),
    [
        ("nobody", "This is not an e-mail address."),
        ("a b@desk.local", "This is not an e-mail address."),
        ("木村@desk.local", "Use ASCII only; write internationalised domains in Punycode (xn--…)."),
        (f"{'x' * 250}@desk.local", "An e-mail address has at most 254 characters."),
    ],
)
def test_seed_admin_rejects_an_invalid_email(seed, rows, email, sentence):
    result = seed(email)

    assert (result.exit_code, result.stderr) == (1, f"Error: {sentence}\n")
    assert rows(Admin) == []


def test_seed_admin_lists_the_roles_for_an_unknown_one(seed, rows):
    result = seed(EMAIL, "--role", "root")

    assert result.exit_code == 2
    assert all(f"'{role}'" in result.output for role in ("viewer", "operator", "owner"))
    assert rows(Admin) == []


def test_seed_admin_prompts_for_the_password_twice_without_echo(app, client):
    words = ("seed", "admin", EMAIL)

    result = app.test_cli_runner().invoke(args=words, input=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.stdout.splitlines()[-1] == f"{EMAIL}: created"
    assert PASSWORD not in result.output
    assert statuses(client, PASSWORD) == [200]


def test_seed_admin_rejects_two_different_passwords(app, rows):
    words = ("seed", "admin", EMAIL)

    result = app.test_cli_runner().invoke(args=words, input=f"{PASSWORD}\n{NEW_PASSWORD}\n")

    assert result.exit_code == 1
    assert "do not match" in result.output
    assert rows(Admin) == []


def test_seed_admin_keeps_spaces_in_a_password(seed, client):
    seed(EMAIL, given=" spaces around it \r\nand a second line\n")

    assert statuses(client, "spaces around it", " spaces around it ") == [401, 200]
