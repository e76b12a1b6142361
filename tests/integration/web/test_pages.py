from datetime import UTC, datetime

import pytest

from pipelabs.models import Role
from pipelabs.web import pages

TIME = datetime(2026, 11, 24, 9, 5, 7, 1000, UTC)


@pytest.mark.parametrize("path", ["/admin/nothing", "/admin/palette/x"])
def test_not_found_page_shows_the_request_id(desk, path):
    response = desk.get(path, **{"X-Request-ID": "quote-me-1"})

    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "Page not found" in response.text
    assert "Not found." not in response.text
    assert "quote-me-1" in response.text


def test_anonymous_callers_are_redirected_for_unknown_pages(client):
    assert client.get("/admin/nothing").status_code == 303


def test_page_for_another_role_says_what_the_role_lacks(console):
    response = console(Role.VIEWER).get("/admin/clients/new")

    assert response.status_code == 403
    assert (
        "<p>Viewers don&#39;t have permission to create and change clients. Ask an owner.</p>"
        in response.text
    )


def test_csrf_failure_is_a_forbidden_page(app, desk):
    response = desk.client.post(
        "/admin/login", data={"csrf_token": "x"}, base_url="https://localhost"
    )

    assert (response.status_code, response.mimetype) == (403, "text/html")
    assert "You don&#39;t have access" in response.text


def test_internal_error_page_does_not_leak_its_cause(app, desk, monkeypatch):
    monkeypatch.setattr("pipelabs.admin.desk.render_template", lambda *_: 1 / 0)
    response = desk.get("/admin/")

    assert (response.status_code, response.mimetype) == (500, "text/html")
    assert "division" not in response.text


def test_root_redirects_to_the_console(client):
    response = client.get("/")

    assert (response.status_code, response.location) == (303, "/admin/")


@pytest.mark.parametrize("environment", ["local", "staging", "production"])
def test_banner_shows_the_environment(variant, environment):
    other = variant(ENVIRONMENT=environment).test_client()

    page = other.get("/admin/login")

    assert f'class="environment environment-{environment}"' in page.text


def test_local_environment_sets_cookies_without_tls(variant):
    other = variant(ENVIRONMENT="local").test_client()

    [cookie] = other.get("/admin/login").headers.getlist("Set-Cookie")

    assert cookie.startswith("pl_visit=")
    assert cookie.endswith("; HttpOnly; Path=/; SameSite=Lax")


def test_pages_have_no_inline_scripts_or_styles(desk):
    page = desk.get("/admin/").text

    assert "style=" not in page
    assert "<style" not in page
    assert "<script>" not in page
    assert " on" not in page.split("<body>")[0]


def test_template_filters_format_values():
    assert pages.short_time(TIME) == "2026-11-24 09:05"
    assert pages.machine_time(TIME) == "2026-11-24T09:05:07Z"
    assert pages.figure(1234567) == "1,234,567"


def test_page_shows_the_signed_in_admin(console):
    viewer = console(Role.VIEWER, email="viewer@desk.local").get("/admin/").text

    assert 'aria-current="page"' in viewer
    assert "viewer@desk.local" in viewer
