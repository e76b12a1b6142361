import configparser
import json
import re

import pytest
from marshmallow import Schema
from openapi_spec_validator import validate
from werkzeug.exceptions import HTTPException

from pipelabs.core.schemas.errors import Refused
from pipelabs.core.version import version
from pipelabs.web import headers, idempotency
from pipelabs.web.openapi import document
from tests.each import each
from tests.factories import QUICK_CLIENT
from tests.paths import ROOT

CREATE = ("post", QUICK_CLIENT)
SHOW = ("get", "/api/admin/clients/{client_id}")
LOGIN = ("post", "/api/auth/login")
ME = ("get", "/api/auth/me")
DOCS = ("get", "/api/docs")
LIST = ("get", "/api/admin/clients")
UPDATE = ("patch", "/api/admin/clients/{client_id}")
MOVE = ("post", "/api/admin/clients/{client_id}/status")
SET = ("patch", "/api/admin/exchanges/{exchange}")
NOTE = ("patch", "/api/admin/api-keys/{key_id}")


def subclasses(base):
    return {base}.union(*map(subclasses, base.__subclasses__()))


SCHEMAS = {kind.__name__: kind for kind in subclasses(Schema) if "pipelabs" in kind.__module__}
MADE = {
    ("post", "/api/admin/clients/{client_id}/markets"),
    ("post", "/api/admin/markets"),
    ("post", "/api/admin/token-pairs"),
}
CHANGED = {
    ("patch", "/api/admin/clients/{client_id}/markets/{client_market_id}"),
    ("patch", "/api/admin/markets/{market_id}"),
}
ERROR = {"$ref": "#/components/schemas/Refused"}
JSON = "application/json"


@pytest.fixture(scope="session")
def described(app):
    return json.loads(app.extensions[document.EXTENSION])


@pytest.fixture(scope="session")
def operations(described):
    return {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def bodies(operations, *, refusals):
    return [
        (key, status, response["content"][JSON])
        for key, operation in operations.items()
        for status, response in operation["responses"].items()
        if JSON in response.get("content", {}) and (status >= "400") is refusals
    ]


def schema_of(media):
    return SCHEMAS[media["schema"]["$ref"].rpartition("/")[2]]()


def test_the_document_is_valid(described):
    validate(described)

    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": "/"}]


def test_its_version_is_the_packages():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    assert setup["metadata"]["version"] == version()


def test_every_route_of_the_api_is_in_it(app, operations):
    routes = {
        (method.lower(), re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert set(operations) == routes


def test_every_operation_says_what_it_is_for_and_for_whom(operations, described):
    tags = {tag["name"] for tag in described["tags"] if tag["description"]}

    for operation in operations.values():
        assert operation["summary"]
        assert re.search(r"(For [a-z]|Needs no access token)", operation["description"])
        assert set(operation["tags"]) <= tags
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)


def test_the_example_of_every_request_is_taken(operations):
    examples = [
        operation["requestBody"]["content"][JSON]
        for operation in operations.values()
        if "requestBody" in operation
    ]

    for media in examples:
        assert schema_of(media).validate(media["example"]) == {}
    assert len(examples) >= 2


def test_the_example_of_every_answer_has_its_shape(operations):
    examples = [
        media for _, _, media in bodies(operations, refusals=False) if "$ref" in media["schema"]
    ]

    for media in examples:
        schema = schema_of(media)
        always = {name for name, field in schema.fields.items() if "may_lack" not in field.metadata}
        assert schema.validate(media["example"]) == {}
        assert set(media["example"]) == always
    assert len(examples) >= 7


def test_every_refusal_has_the_one_shape_and_an_example(operations):
    for key, status, media in bodies(operations, refusals=True):
        assert media["schema"] == ERROR, key
        for code, example in media["examples"].items():
            assert Refused().validate(example["value"]) == {}, (key, status)
            assert example["value"]["error"]["code"] == code
            assert example["value"]["success"] is False


@each(
    ("key", "statuses"),
    [
        (CREATE, {"201", "400", "401", "403", "409", "413", "415", "422", "429", "500", "503"}),
        (SHOW, {"200", "304", "401", "403", "404", "429", "500", "503"}),
        (LIST, {"200", "400", "401", "403", "429", "500", "503"}),
        (
            UPDATE,
            {
                *{"200", "400", "401", "403", "404", "409"},
                *{"412", "413", "415", "429", "500", "503"},
            },
        ),
        (
            MOVE,
            {
                *{"200", "400", "401", "403", "404", "409", "412"},
                *{"413", "415", "422", "429", "500", "503"},
            },
        ),
        (LOGIN, {"200", "400", "401", "413", "415", "429", "500", "503"}),
        (("post", "/api/auth/refresh"), {"200", "401", "500", "503"}),
        (("post", "/api/auth/logout"), {"200", "401", "500", "503"}),
        (ME, {"200", "401", "500", "503"}),
        (DOCS, {"200", "500"}),
    ],
)
def test_an_operation_has_the_statuses_that_its_view_can_answer(operations, key, statuses):
    found = operations[key]["responses"]

    assert set(found) == statuses
    assert list(found) == sorted(found)


@each(
    ("key", "status", "present", "absent"),
    [
        (CREATE, "201", {"Location", "Idempotent-Replayed", "RateLimit"}, {"Retry-After"}),
        (CREATE, "409", {"Idempotent-Replayed", "RateLimit-Policy"}, {"Location"}),
        (CREATE, "401", {"WWW-Authenticate"}, {"RateLimit", "Idempotent-Replayed"}),
        (CREATE, "429", {"Retry-After", "X-RateLimit-Reset"}, {"Idempotent-Replayed"}),
        (CREATE, "503", {"Retry-After"}, {"Location"}),
        (SHOW, "200", {"ETag", "RateLimit"}, {"Location"}),
        (SHOW, "304", {"ETag"}, {"Location"}),
        (LOGIN, "429", {"Retry-After"}, {"RateLimit"}),
    ],
)
def test_an_answer_names_the_fields_it_carries(operations, key, status, present, absent):
    found = set(operations[key]["responses"][status]["headers"])

    assert present | {"X-Request-ID"} <= found
    assert not absent & found


def test_every_field_that_browsers_may_read_is_explained(described):
    told = described["components"]["headers"]

    assert set(headers.TOLD) <= set(told)
    assert all(one["description"] for one in told.values())


def test_the_idempotency_key_is_a_field_of_what_acts_by_post(operations):
    takers = {
        key: parameter
        for key, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == idempotency.HEADER
    }

    assert set(takers) == {CREATE, MOVE, *MADE}
    assert "required" not in takers[CREATE]
    assert re.fullmatch(takers[CREATE]["schema"]["pattern"], "onboarding-4711")
    assert not re.fullmatch(takers[CREATE]["schema"]["pattern"], "two words")


def test_a_list_tells_its_parameters_and_their_choices(operations):
    told = {one["name"]: one["schema"] for one in operations[LIST]["parameters"]}

    assert list(told) == ["cursor", "size", "q", "tier", "status", "chain", "sort"]
    assert told["size"] == {"type": "integer", "default": 50, "enum": [25, 50, 100]}
    assert "-created_at" in told["sort"]["enum"]
    assert not any("null" in str(schema["type"]) for schema in told.values())


def test_if_match_is_a_field_of_what_can_be_stale(operations):
    takers = {
        key: parameter["schema"]["pattern"]
        for key, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "If-Match"
    }

    assert set(takers) == {UPDATE, MOVE, SET, NOTE, *CHANGED}
    assert all(re.fullmatch(pattern, '"1"') for pattern in takers.values())


def test_public_calls_ask_for_no_token_and_renewal_for_its_own(described, operations):
    schemes = described["components"]["securitySchemes"]

    assert described["security"] == [{"access_token": []}]
    assert operations[LOGIN]["security"] == operations[DOCS]["security"] == []
    assert operations["post", "/api/auth/refresh"]["security"] == [{"refresh_token": []}]
    assert "security" not in operations[CREATE]
    assert {(one["type"], one["scheme"]) for one in schemes.values()} == {("http", "bearer")}


def test_what_is_sent_is_closed_and_what_is_answered_may_grow(described):
    schemas = described["components"]["schemas"]
    sent, answered = schemas["ClientIn"], schemas["ClientCreated"]

    assert sent["additionalProperties"] is False
    assert sent["required"] == ["name", "wallet_address"]
    assert sent["properties"]["tier"]["enum"] == [
        "Basic",
        "Standard",
        "Premium",
        "Enterprise",
        None,
    ]
    assert sent["properties"]["name"]["maxLength"] == 255
    assert "additionalProperties" not in answered
    assert answered["required"] == ["success", "message", "request_id", "client", "metadata"]


def test_nothing_is_defined_that_nothing_uses(described):
    text = json.dumps(described)
    unused = [
        name
        for kind in ("schemas", "headers")
        for name in described["components"][kind]
        if f'"#/components/{kind}/{name}"' not in text
    ]

    assert unused == []


def test_limits_are_told_as_they_are_set(variant, described):
    other = json.loads(variant(RATELIMIT_CREATE="7/hour").extensions[document.EXTENSION])

    assert "one of `create` (7 in 3600 s)" in other["paths"][QUICK_CLIENT]["post"]["description"]
    assert "7 in 3600 s for creations" in other["info"]["description"]
    assert "20 in 60 s for creations" in described["info"]["description"]


@each(
    "word",
    [
        "/api/auth/login",
        "Bearer $TOKEN",
        QUICK_CLIENT,
        "Idempotency-Key",
        "409",
        "429",
        "Retry-After",
    ],
)
def test_the_guide_has_every_step_of_an_integration(described, word):
    guide = described["info"]["description"]

    assert word in guide
    assert guide.count("\n") <= 60


def test_the_library_registers_no_handler_and_no_page_of_its_own(app):
    handler = app.error_handler_spec[None][None][HTTPException]

    assert handler.__module__ == "pipelabs.web.errors"
    assert not [rule for rule in app.url_map.iter_rules() if "api-docs" in rule.endpoint]
