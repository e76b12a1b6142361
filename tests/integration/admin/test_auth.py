import pytest

from pipelabs.accounts.sessions import IDLE
from pipelabs.core.db import db
from pipelabs.models import Admin, AuditEvent, Client, Role, Session, now
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body
from tests.form_client import Browser

EMAIL = "desk@desk.local"


@pytest.fixture
def somebody(app):
    """A browser of an admin who has not signed in yet."""
    with app.app_context():
        make_admin(role=Role.OPERATOR, email=EMAIL)
        db.session.commit()
    return Browser(app)


def sign_in(browser, path="/admin/login", password=PASSWORD):
    return browser.post(path, email=EMAIL, password=password)


def test_a_stranger_is_sent_to_sign_in_and_back_to_the_page_asked_for(somebody):
    first = somebody.get("/admin/?a=1&b=2")
    second = sign_in(somebody, first.location)

    assert (first.status_code, first.location) == (303, "/admin/login?next=/admin/?a%3D1%26b%3D2")
    assert (second.status_code, second.location) == (303, "/admin/?a=1&b=2")
    assert somebody.get("/admin/").status_code == 200


def test_the_cookie_is_for_this_host_alone_and_for_no_script(somebody):
    response = sign_in(somebody)

    [cookie] = [one for one in response.headers.getlist("Set-Cookie") if "pl_console" in one]
    assert cookie.startswith("__Host-pl_console=ey")
    assert cookie.endswith("; Secure; HttpOnly; Path=/; SameSite=Strict")


def test_a_wrong_password_shows_the_form_again_and_leaves_a_row(somebody, rows):
    response = sign_in(somebody, password="not-the-Password-44")

    assert response.status_code == 401
    assert "E-mail address or password is wrong." in response.text
    assert "not-the-Password-44" not in response.text
    assert [row.event for row in rows(AuditEvent)] == ["admin.sign_in_denied"]


def test_too_many_tries_have_to_wait(somebody):
    for _ in range(5):
        sign_in(somebody, password="not-the-Password-44")
    response = sign_in(somebody)

    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert "Too many attempts" in response.text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/admin/",
        "https://evil.example/admin/",
        "/\\evil.example",
        "/api/docs",
        "",
        "x",
        "/admin//evil.example",
        "/admin/\r\nX: y",
        "/admin\\@evil.example",
    ],
)
def test_nobody_is_sent_to_another_site(somebody, target):
    somebody.get("/admin/login")
    response = somebody.client.post(
        "/admin/login",
        query_string={"next": target},
        data={"csrf_token": somebody.token, "email": EMAIL, "password": PASSWORD},
        base_url="https://localhost",
    )

    assert (response.status_code, response.location) == (303, "/admin/")


def test_who_is_signed_in_is_not_asked_again(desk):
    response = desk.get("/admin/login?next=/admin/palette")

    assert (response.status_code, response.location) == (303, "/admin/palette")


@each("cookie", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\x7f"])
def test_a_foreign_cookie_locks_nobody_out(somebody, cookie):
    somebody.client.set_cookie("__Host-pl_console", cookie, domain="localhost")

    assert somebody.get("/admin/").status_code == 303
    assert somebody.get("/admin/login").status_code == 200
    assert sign_in(somebody).location == "/admin/"


def test_the_cookie_opens_no_door_of_the_api(desk, rows):
    response = desk.client.post(QUICK_CLIENT, json=make_body(), base_url="https://localhost")

    assert response.status_code == 401
    assert rows(Client) == []


def test_the_token_of_the_cookie_is_no_bearer(desk, client):
    token = desk.client.get_cookie("__Host-pl_console", domain="localhost").value

    response = client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401


def test_a_bearer_opens_no_page(client, operator):
    assert client.get("/admin/", headers=operator).status_code == 303


@each("token", ["", "x", "é" * 999, "A" * 44])
def test_a_form_without_its_token_is_refused(desk, token, rows):
    desk.get("/admin/")
    response = desk.post("/admin/logout", csrf_token=token)

    assert response.status_code == 403
    assert "Reload the page and try again" in response.text
    assert [row.revoked_at for row in rows(Session)] == [None]


def test_a_form_of_another_session_or_site_is_refused(desk, console):
    other = console(Role.OPERATOR, email="other@desk.local")
    other.get("/admin/")
    desk.get("/admin/")
    foreign = desk.post("/admin/logout", csrf_token=other.token)
    evil = desk.client.post(
        "/admin/logout",
        data={"csrf_token": desk.token},
        headers={"Origin": "https://evil.example"},
        base_url="https://localhost",
    )

    assert (foreign.status_code, evil.status_code) == (403, 403)


def test_signing_out_ends_the_session_and_takes_the_cookie(desk, rows):
    desk.get("/admin/")
    response = desk.post("/admin/logout")

    assert (response.status_code, response.location) == (303, "/admin/login")
    assert rows(Session)[0].revoked_at
    assert "You are signed out." in desk.get("/admin/login").text
    assert desk.get("/admin/").status_code == 303


def test_signing_out_by_a_link_does_nothing(desk, rows):
    assert desk.get("/admin/logout").status_code == 405
    assert rows(Session)[0].revoked_at is None


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Session, {"revoked_at": now()}),
        (Session, {"expires_at": now()}),
        (Session, {"renewed_at": now() - IDLE * 1.1}),
        (Admin, {"is_disabled": True}),
        (Admin, {"token_version": 2}),
    ],
)
def test_a_session_that_ended_elsewhere_is_over_at_the_next_click(desk, change, model, values):
    change(model, **values)
    response = desk.get("/admin/")

    assert (response.status_code, response.location) == (303, "/admin/login?next=/admin/")


def test_a_session_in_use_does_not_fall_idle(desk, change, rows):
    change(Session, renewed_at=now() - IDLE / 2)
    desk.get("/admin/")

    assert now() - rows(Session)[0].renewed_at < IDLE / 4


def test_a_fragment_sends_the_whole_page_to_sign_in(client):
    headers = {"HX-Request": "true", "HX-Current-URL": "https://localhost/admin/?a=1"}
    response = client.get("/admin/palette", headers=headers)

    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/admin/login?next=/admin/?a%3D1"


def test_the_theme_is_remembered_and_forgotten(desk):
    desk.get("/admin/")
    chosen = desk.post("/admin/theme", theme="dark", back="/admin/?a=1")
    dark = desk.get("/admin/").text
    desk.post("/admin/theme", theme="", csrf_token=desk.token)
    system = desk.get("/admin/").text

    assert (chosen.status_code, chosen.location) == (303, "/admin/?a=1")
    assert '<html lang="en" data-theme="dark">' in dark
    assert '<html lang="en">' in system


def test_pages_have_a_budget_of_their_own(variant, desk):
    few = variant(RATELIMIT_CONSOLE="2/minute").test_client()
    few._cookies = desk.client._cookies
    answers = [few.get("/admin/", base_url="https://localhost") for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].mimetype == "text/html"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
