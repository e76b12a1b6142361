from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from sqlalchemy import true

from pipelabs.accounts.sessions import IDLE_TIMEOUT, end_sessions
from pipelabs.core.db import db
from pipelabs.models import Admin, AuditEvent, Client, Role, Session, now
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body
from tests.form_client import Browser

EMAIL = "desk@desk.local"


@pytest.fixture
def browser(app):
    """A browser of an admin who has not signed in yet."""
    with app.app_context():
        make_admin(role=Role.OPERATOR, email=EMAIL)
        db.session.commit()
    return Browser(app)


def sign_in(browser, path="/admin/login", password=PASSWORD):
    return browser.post(path, email=EMAIL, password=password)


def test_anonymous_requests_redirect_to_sign_in_and_back(browser):
    first = browser.get("/admin/?a=1&b=2")
    second = sign_in(browser, first.location)

    assert (first.status_code, first.location) == (303, "/admin/login?next=/admin/?a%3D1%26b%3D2")
    assert (second.status_code, second.location) == (303, "/admin/?a=1&b=2")
    assert browser.get("/admin/").status_code == 200


def test_session_cookie_is_host_only_and_http_only(browser):
    response = sign_in(browser)

    [cookie] = [
        cookie for cookie in response.headers.getlist("Set-Cookie") if "pl_console" in cookie
    ]
    assert cookie.startswith("__Host-pl_console=ey")
    assert cookie.endswith("; Secure; HttpOnly; Path=/; SameSite=Lax")


def test_sign_in_failure_shows_the_form_and_is_recorded(browser, rows):
    response = sign_in(browser, password="not-the-Password-44")

    assert response.status_code == 401
    assert "E-mail address or password is wrong." in response.text
    assert "not-the-Password-44" not in response.text
    assert [row.event for row in rows(AuditEvent)] == ["admin.sign_in_denied"]


def test_sign_in_is_throttled(browser):
    for _ in range(5):
        sign_in(browser, password="not-the-Password-44")
    response = sign_in(browser)

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
        "//[",
        "http://[::1",
        "/admin/[//[",
    ],
)
def test_sign_in_does_not_redirect_to_other_sites(browser, target):
    browser.get("/admin/login")
    response = browser.client.post(
        "/admin/login",
        query_string={"next": target},
        data={"csrf_token": browser.token, "email": EMAIL, "password": PASSWORD},
        base_url="https://localhost",
    )

    assert (response.status_code, response.location) == (303, "/admin/")


def test_sign_in_page_redirects_if_already_signed_in(desk):
    response = desk.get("/admin/login?next=/admin/palette")

    assert (response.status_code, response.location) == (303, "/admin/palette")


@each("cookie", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\x7f"])
def test_invalid_cookie_does_not_prevent_sign_in(browser, cookie):
    browser.client.set_cookie("__Host-pl_console", cookie, domain="localhost")

    assert browser.get("/admin/").status_code == 303
    assert browser.get("/admin/login").status_code == 200
    assert sign_in(browser).location == "/admin/"


def test_cookie_is_not_accepted_by_the_api(desk, rows):
    response = desk.client.post(QUICK_CLIENT, json=make_body(), base_url="https://localhost")

    assert response.status_code == 401
    assert rows(Client) == []


def test_cookie_token_is_rejected_as_bearer(desk, client):
    token = desk.client.get_cookie("__Host-pl_console", domain="localhost").value

    response = client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401


def test_bearer_token_is_not_accepted_by_pages(client, operator):
    assert client.get("/admin/", headers=operator).status_code == 303


@each("token", ["", "x", "é" * 999, "A" * 44])
def test_form_without_csrf_token_is_rejected(desk, token, rows):
    desk.get("/admin/")
    response = desk.post("/admin/logout", csrf_token=token)

    assert response.status_code == 403
    assert "Reload the page and try again" in response.text
    assert [row.revoked_at for row in rows(Session)] == [None]


def test_form_of_another_session_or_site_is_rejected(desk, console):
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


def test_sign_out_ends_the_session_and_deletes_the_cookie(desk, rows):
    desk.get("/admin/")
    response = desk.post("/admin/logout")

    assert (response.status_code, response.location) == (303, "/admin/login")
    assert rows(Session)[0].revoked_at
    assert "You are signed out." in desk.get("/admin/login").text
    assert desk.get("/admin/").status_code == 303


def test_sign_out_does_not_accept_get(desk, rows):
    assert desk.get("/admin/logout").status_code == 405
    assert rows(Session)[0].revoked_at is None


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Session, {"revoked_at": now()}),
        (Session, {"expires_at": now()}),
        (Session, {"renewed_at": now() - IDLE_TIMEOUT * 1.1}),
        (Admin, {"is_disabled": True}),
        (Admin, {"token_version": 2}),
    ],
)
def test_ended_session_is_rejected_at_the_next_request(desk, change, model, values):
    change(model, **values)
    response = desk.get("/admin/")

    assert (response.status_code, response.location) == (303, "/admin/login?next=/admin/")


def test_session_in_use_does_not_go_idle(desk, change, rows):
    change(Session, renewed_at=now() - IDLE_TIMEOUT / 2)
    desk.get("/admin/")

    assert now() - rows(Session)[0].renewed_at < IDLE_TIMEOUT / 4


def test_fragment_request_redirects_the_whole_page_to_sign_in(client):
    headers = {"HX-Request": "true", "HX-Current-URL": "https://localhost/admin/?a=1"}
    response = client.get("/admin/palette", headers=headers)

    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/admin/login?next=/admin/?a%3D1"


def test_theme_is_stored_and_cleared(desk):
    desk.get("/admin/")
    chosen = desk.post("/admin/theme", theme="dark", back="/admin/?a=1")
    dark = desk.get("/admin/").text
    desk.post("/admin/theme", theme="", csrf_token=desk.token)
    system = desk.get("/admin/").text

    assert (chosen.status_code, chosen.location) == (303, "/admin/?a=1")
    assert '<html lang="en" data-theme="dark">' in dark
    assert '<html lang="en">' in system


def test_pages_have_their_own_rate_limit(variant, desk):
    few = variant(RATELIMIT_CONSOLE="2/minute").test_client()
    few._cookies = desk.client._cookies
    answers = [few.get("/admin/", base_url="https://localhost") for _ in range(3)]

    assert [response.status_code for response in answers] == [200, 200, 429]
    assert answers[2].mimetype == "text/html"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60


def test_request_without_a_cookie_deletes_none(browser):
    response = browser.get("/admin/clients")

    assert response.status_code == 303
    assert not any("pl_console" in cookie for cookie in response.headers.getlist("Set-Cookie"))


def test_request_with_an_ended_session_deletes_its_cookie(desk, app):
    with app.app_context():
        end_sessions(true())
        db.session.commit()

    response = desk.get("/admin/clients")

    assert response.status_code == 303
    assert any("pl_console=;" in cookie for cookie in response.headers.getlist("Set-Cookie"))


@each("url", ["//[", "http://[::1", "https://localhost/admin/clients//["])
def test_malformed_current_url_leads_back_to_a_page(browser, url):
    response = browser.get("/admin/clients", **{"HX-Request": "true", "HX-Current-URL": url})

    assert response.status_code == 401
    assert response.headers["HX-Redirect"].startswith("/admin/login?next=/admin/")


@each(
    ("origin", "status"),
    [
        ("https://localhost", 303),
        ("https://LocalHost", 303),
        ("//[", 403),
        ("http://[::1", 403),
        ("null", 403),
        ("", 403),
        ("https://localhost.evil.example", 403),
    ],
)
def test_form_is_accepted_from_pages_of_this_host_only(desk, origin, status):
    desk.get("/admin/account")

    response = desk.client.post(
        "/admin/theme",
        data={"csrf_token": desk.token, "theme": "dark", "back": "//["},
        base_url="https://localhost",
        headers={"Origin": origin},
    )

    assert response.status_code == status


def test_csrf_token_differs_on_each_page_and_all_are_valid(desk):
    tokens = set()
    for _ in range(3):
        desk.get("/admin/account")
        tokens.add(desk.token)

    assert len(tokens) == 3
    for token in tokens:
        assert desk.post("/admin/theme", theme="dark", csrf_token=token).status_code == 303


def test_csrf_token_under_another_mask_is_rejected(desk):
    desk.get("/admin/account")
    token = urlsafe_b64decode(desk.token)
    altered = [bytes(64), token[::-1], token[32:] + bytes(32), bytes([token[0] ^ 1]) + token[1:]]

    for text in altered:
        form = {"csrf_token": urlsafe_b64encode(text).decode()}
        assert desk.post("/admin/theme", theme="dark", **form).status_code == 403
    # The two halves are each other's mask.
    halves = urlsafe_b64encode(token[32:] + token[:32]).decode()
    assert desk.post("/admin/theme", theme="dark", csrf_token=halves).status_code == 303
