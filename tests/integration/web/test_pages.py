from datetime import UTC, datetime

import pytest

from pipelabs.models import Role
from pipelabs.web import pages

MOMENT = datetime(2026, 11, 24, 9, 5, 7, 1000, UTC)


@pytest.mark.parametrize("path", ["/admin/nothing", "/admin/palette/x"])
def test_an_address_that_leads_nowhere_is_a_page_with_the_request_to_quote(desk, path):
    response = desk.get(path, **{"X-Request-ID": "quote-me-1"})

    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "Page not found" in response.text
    assert "quote-me-1" in response.text


def test_a_stranger_learns_nothing_about_what_is_there(client):
    assert client.get("/admin/nothing").status_code == 303


def test_a_page_that_is_wrongly_asked_for_names_what_is_wrong(app, desk):
    response = desk.client.post(
        "/admin/login", data={"csrf_token": "x"}, base_url="https://localhost"
    )

    assert (response.status_code, response.mimetype) == (403, "text/html")
    assert "You don&#39;t have access" in response.text


def test_what_fails_unforeseen_is_a_page_without_its_cause(app, desk, monkeypatch):
    monkeypatch.setattr("pipelabs.admin.overview.render_template", lambda *_: 1 / 0)
    response = desk.get("/admin/")

    assert (response.status_code, response.mimetype) == (500, "text/html")
    assert "division" not in response.text


def test_the_bare_host_leads_to_the_console(client):
    response = client.get("/")

    assert (response.status_code, response.location) == (303, "/admin/")


@pytest.mark.parametrize("environment", ["local", "staging", "production"])
def test_a_banner_says_where_one_is(variant, environment):
    other = variant(ENVIRONMENT=environment).test_client()

    page = other.get("/admin/login")

    assert f'class="environment environment-{environment}"' in page.text


def test_a_machine_without_tls_has_cookies_without_tls(variant):
    other = variant(ENVIRONMENT="local").test_client()

    [cookie] = other.get("/admin/login").headers.getlist("Set-Cookie")

    assert cookie.startswith("pl_visit=")
    assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict")


def test_a_page_asks_for_no_script_or_style_of_its_own(desk):
    page = desk.get("/admin/").text

    assert "style=" not in page
    assert "<style" not in page
    assert "<script>" not in page
    assert " on" not in page.split("<body>")[0]


def test_filters_say_things_as_people_read_them():
    assert pages.when(MOMENT) == "2026-11-24 09:05"
    assert pages.machine_time(MOMENT) == "2026-11-24T09:05:07Z"
    assert pages.short_address("0x52908400098527886E0F7030069857D2E4169EE7") == "0x5290…9EE7"
    assert pages.short_address("short") == "short"
    assert pages.figure(1234567) == "1,234,567"


def test_a_page_shows_what_the_role_may_do(console):
    viewer = console(Role.VIEWER, email="viewer@desk.local").get("/admin/").text

    assert 'aria-current="page"' in viewer
    assert "viewer@desk.local" in viewer
