"""Every route and what it asks for."""

import re

from pipelabs.models import Permission, Role


def views(app):
    return [(rule, app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()]


def test_every_route_asks_for_a_permission_or_says_that_it_is_public(app):
    silent = [rule.rule for rule, view in views(app) if not hasattr(view, "permission")]

    assert silent == []


def test_only_these_routes_are_public(app):
    public = {rule.rule for rule, view in views(app) if view.permission is None}

    assert public == {
        "/",
        "/health",
        "/ready",
        "/admin/login",
        "/api/auth/login",
        "/api/auth/refresh",
        "/api/openapi.json",
        "/api/docs",
        "/static/<path:filename>",
    }


def test_every_permission_is_asked_for_by_a_route_and_given_to_the_owner(app):
    asked = {view.permission for _, view in views(app)} - {None}

    assert asked == set(Permission) == Role.OWNER.permissions


def test_urls_are_kebab_case_and_their_parameters_typed(app):
    part = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.json)?|<[a-z]+:[a-z_]+>")

    for rule in app.url_map.iter_rules():
        assert rule.rule == "/" or all(
            part.fullmatch(one) for one in rule.rule.strip("/").split("/")
        ), rule.rule
