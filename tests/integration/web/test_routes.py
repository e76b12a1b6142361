"""Every route and what it requires."""

import re

from pipelabs.models import Permission, Role
from pipelabs.web.operation import registry


def test_every_route_has_an_operation(app):
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert endpoints == set(registry(app))


def test_only_these_routes_are_public(app):
    operations = registry(app)
    public = {rule.rule for rule in app.url_map.iter_rules() if operations[rule.endpoint].is_public}

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


def test_every_permission_is_required_by_a_route_and_given_to_the_owner(app):
    required = {operation.permission for operation in registry(app).values()} - {None}

    assert required == set(Permission) == Role.OWNER.permissions


def test_urls_are_kebab_case_and_their_parameters_typed(app):
    part = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.json)?|<[a-z]+:[a-z_]+>")

    for rule in app.url_map.iter_rules():
        assert rule.rule == "/" or all(
            part.fullmatch(one) for one in rule.rule.strip("/").split("/")
        ), rule.rule
