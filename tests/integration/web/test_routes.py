"""Every route and what it requires."""

import re

import pytest

from pipelabs.models import Permission, Role
from pipelabs.web import blueprints
from pipelabs.web.operation import Operation, registry


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
        "/metrics",
        "/admin/login",
        "/api/auth/login",
        "/api/auth/refresh",
        "/api/machine/enrolments",
        "/api/openapi.json",
        "/api/docs",
        "/static/<path:filename>",
    }


def test_permissions_are_all_required_somewhere_and_owned_by_owners(app):
    required = {operation.permission for operation in registry(app).values()} - {None}

    assert required == set(Permission) == Role.OWNER.permissions


def test_urls_are_kebab_case_with_typed_parameters(app):
    part = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.json|:[a-z]+)?|<[a-z]+:[a-z_]+>")

    for rule in app.url_map.iter_rules():
        assert rule.rule == "/" or all(
            part.fullmatch(segment) for segment in rule.rule.strip("/").split("/")
        ), rule.rule


def test_write_must_respond_with_the_status_of_its_operation(app):
    operation = Operation(method="POST", permission=None, status=201)

    with app.test_request_context():
        assert blueprints._respond(("", 201), operation).status_code == 201
        assert blueprints._respond(("", 409), operation).status_code == 409
        with pytest.raises(RuntimeError, match="must not respond with 200"):
            blueprints._respond(("", 200), operation)
