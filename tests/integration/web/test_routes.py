"""Every route and what it requires."""

import re

from pipelabs.models import Permission, Role
from pipelabs.web.operation import registry


def test_routes_all_have_an_operation(app):
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert endpoints == set(registry(app))


def test_public_routes_are_exactly_these(app):
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


def test_permissions_are_all_required_somewhere_and_owned_by_owners(app):
    required = {operation.permission for operation in registry(app).values()} - {None}

    assert required == set(Permission) == Role.OWNER.permissions


def test_urls_are_kebab_case_with_typed_parameters(app):
    part = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.json)?|<[a-z]+:[a-z_]+>")

    for rule in app.url_map.iter_rules():
        assert rule.rule == "/" or all(
            part.fullmatch(segment) for segment in rule.rule.strip("/").split("/")
        ), rule.rule
