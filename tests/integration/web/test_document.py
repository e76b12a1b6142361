import collections
import configparser
import json
import re

import pytest
from marshmallow import Schema
from openapi_spec_validator import validate
from werkzeug.exceptions import HTTPException

from pipelabs.core.schemas.errors import ErrorResponse
from pipelabs.core.version import version
from pipelabs.web import headers, idempotency
from pipelabs.web.openapi.examples import example_body
from tests.each import each
from tests.factories import QUICK_CLIENT
from tests.openapi import resolve
from tests.paths import ROOT

CREATE = ("post", QUICK_CLIENT)
SHOW = ("get", "/api/admin/clients/{client_id}")
LOGIN = ("post", "/api/auth/login")
ME = ("get", "/api/auth/me")
DOCS = ("get", "/api/docs")
LIST = ("get", "/api/admin/clients")
UPDATE = ("patch", "/api/admin/clients/{client_id}")
CHANGE_STATUS = ("post", "/api/admin/clients/{client_id}/status")
UPDATE_EXCHANGE = ("patch", "/api/admin/exchanges/{exchange}")


def subclasses(base):
    return {base}.union(*map(subclasses, base.__subclasses__()))


SCHEMAS = {kind.__name__: kind for kind in subclasses(Schema) if "pipelabs" in kind.__module__}
CREATES = {
    ("post", "/api/admin/clients/{client_id}/markets"),
    ("post", "/api/admin/markets"),
    ("post", "/api/admin/token-pairs"),
    ("post", "/api/admin/clients"),
    ("post", "/api/admin/clients:batch"),
    ("post", "/api/admin/admins"),
    ("post", "/api/admin/tokens"),
    ("post", "/api/admin/api-keys"),
    ("post", "/api/admin/api-keys/{key_id}/replace"),
    ("post", "/api/admin/machines"),
    ("post", "/api/admin/machines/{machine_id}/code"),
    ("post", "/api/admin/grants"),
    ("post", "/api/admin/stops"),
}
MACHINE_ACTS = ("code", "suspend", "resume", "retire")
KEY_ACTS = ("verify", "accept", "replace", "cut-over", "roll-back", "revoke")
ADMIN_ACTS = ("end-sessions", "reset-password")
UPDATES = {
    UPDATE_EXCHANGE,
    ("patch", "/api/admin/api-keys/{key_id}"),
    *{("post", f"/api/admin/api-keys/{{key_id}}/{act}") for act in KEY_ACTS},
    ("patch", "/api/admin/admins/{admin_id}"),
    *{("post", f"/api/admin/admins/{{admin_id}}/{act}") for act in ADMIN_ACTS},
    ("patch", "/api/admin/clients/{client_id}/markets/{client_market_id}"),
    ("patch", "/api/admin/markets/{market_id}"),
    *{("post", f"/api/admin/machines/{{machine_id}}/{act}") for act in MACHINE_ACTS},
    *{("post", f"/api/admin/approvals/{{approval_id}}/{act}") for act in ("approve", "reject")},
    ("post", "/api/admin/grants/{grant_id}/end"),
    ("post", "/api/admin/stops/{stop_id}/lift"),
}
ERROR = {"$ref": "#/components/schemas/ErrorResponse"}
JSON = "application/json"


@pytest.fixture(scope="session")
def described(app):
    return app.test_client().get("/api/openapi.json").json


@pytest.fixture(scope="session")
def operations(described):
    return {
        (method, path): {"parameters": []} | operation
        for path, methods in resolve(described, described["paths"]).items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def bodies(operations, *, errors):
    return [
        (key, status, response["content"][JSON])
        for key, operation in operations.items()
        for status, response in operation["responses"].items()
        if JSON in response.get("content", {}) and (status >= "400") is errors
    ]


def schema_of(media):
    return SCHEMAS[media["schema"]["$ref"].rpartition("/")[2]]()


def test_openapi_document_is_valid(described):
    validate(described)

    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": "/"}]


def test_openapi_document_has_the_version_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    assert setup["metadata"]["version"] == version()


def test_openapi_document_has_every_api_route(app, operations):
    routes = {
        (method.lower(), re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert set(operations) == routes


def test_operation_has_a_summary_tags_and_roles(operations, described):
    tags = {tag["name"] for tag in described["tags"] if tag["description"]}

    for operation in operations.values():
        assert operation["summary"]
        assert re.search(r"(For [a-z]|Needs no access token)", operation["description"])
        assert set(operation["tags"]) <= tags
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)


def test_request_examples_are_valid(operations):
    examples = [
        operation["requestBody"]["content"][JSON]
        for operation in operations.values()
        if "requestBody" in operation
    ]

    for media in examples:
        assert schema_of(media).validate(media["example"]) == {}
    assert len(examples) >= 2


def test_response_schemas_have_examples_that_match(described, operations):
    names = {
        media["schema"]["$ref"].rpartition("/")[2]
        for _, _, media in bodies(operations, errors=False)
        if "$ref" in media["schema"]
    }

    for name in names:
        schema = SCHEMAS[name]()
        example = example_body(schema)
        assert schema.validate(example) == {}, name
        assert set(example) == set(described["components"]["schemas"][name]["required"])
    assert len(names) >= 7


def test_error_codes_are_an_enum(described, operations):
    codes = described["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"]
    documented = {
        code for _, _, media in bodies(operations, errors=True) for code in media["examples"]
    }
    page = (ROOT / "docs/reference/errors.md").read_text()

    assert documented <= set(codes)
    assert codes == sorted(set(codes))
    assert set(codes) == set(
        re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| \d+ \| (.+?) \|", page, re.MULTILINE)))
    )


def test_repeated_responses_and_examples_are_components(described):
    repeated: collections.Counter[str] = collections.Counter()
    for methods in described["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict):
                repeated.update(map(json.dumps, operation["responses"].values()))

    assert [
        text
        for text, count in repeated.items()
        if count > 1 and "#/components/responses" not in text
    ] == []
    assert described["components"]["examples"]


def test_openapi_document_is_short(app):
    data = app.test_client().get("/api/openapi.json").data

    operations = sum(map(len, json.loads(data)["paths"].values()))
    assert len(data) <= 2_800 * operations


def test_error_responses_have_the_envelope_and_an_example(operations):
    for key, status, media in bodies(operations, errors=True):
        assert media["schema"] == ERROR, key
        for code, example in media["examples"].items():
            assert ErrorResponse().validate(example["value"]) == {}, (key, status)
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
            CHANGE_STATUS,
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
def test_operation_documents_all_its_statuses(operations, key, statuses):
    responses = operations[key]["responses"]

    assert set(responses) == statuses
    assert list(responses) == sorted(responses)


@each(
    ("key", "status", "present", "absent"),
    [
        (CREATE, "201", {"Location", "Idempotent-Replayed", "RateLimit"}, {"Retry-After"}),
        (CREATE, "409", {"Idempotent-Replayed"}, {"Location"}),
        (CREATE, "401", {"WWW-Authenticate"}, {"RateLimit", "Idempotent-Replayed"}),
        (CREATE, "429", {"Retry-After", "X-RateLimit-Reset"}, {"Idempotent-Replayed"}),
        (CREATE, "503", {"Retry-After"}, {"Location"}),
        (SHOW, "200", {"ETag", "RateLimit"}, {"Location"}),
        (SHOW, "304", {"ETag"}, {"Location"}),
        (LOGIN, "429", {"Retry-After"}, {"RateLimit"}),
    ],
)
def test_response_documents_its_headers(operations, key, status, present, absent):
    names = set(operations[key]["responses"][status]["headers"])

    assert present | {"X-Request-ID"} <= names
    assert not absent & names


def test_response_headers_have_descriptions(described):
    components = described["components"]["headers"]

    assert set(headers.RESPONSE_HEADERS) <= set(components)
    assert all(header["description"] for header in components.values())


def test_idempotency_key_parameter_is_on_creating_operations(operations):
    parameters = {
        key: parameter
        for key, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == idempotency.HEADER
    }

    assert set(parameters) == {CREATE, CHANGE_STATUS, *CREATES}
    assert "required" not in parameters[CREATE]
    assert re.fullmatch(parameters[CREATE]["schema"]["pattern"], "onboarding-4711")
    assert not re.fullmatch(parameters[CREATE]["schema"]["pattern"], "two words")


def test_list_operation_documents_its_query_parameters(operations):
    schemas = {item["name"]: item["schema"] for item in operations[LIST]["parameters"]}

    assert list(schemas)[:4] == ["cursor", "size", "q", "wallet_address"]
    assert {"tier", "status", "chain", "created_since", "updated_until", "sort"} <= set(schemas)
    assert schemas["size"] == {"type": "integer", "default": 50, "minimum": 1, "maximum": 100}
    assert "-created_at" in schemas["sort"]["enum"]
    assert not any("null" in str(schema["type"]) for schema in schemas.values())


def test_if_match_parameter_is_on_versioned_operations(operations):
    parameters = {
        key: parameter["schema"]["pattern"]
        for key, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "If-Match"
    }

    assert set(parameters) == {UPDATE, CHANGE_STATUS, *UPDATES}
    for etag in ('"1"', '"3-0a1b2c3d"', 'W/"1"', "*"):
        assert all(re.fullmatch(pattern, etag) for pattern in parameters.values())


def test_if_none_match_and_304_are_on_reads_with_an_etag(operations):
    takers = {
        key
        for key, operation in operations.items()
        if any(item["name"] == "If-None-Match" for item in operation["parameters"])
    }
    answerers = {key for key, operation in operations.items() if "304" in operation["responses"]}
    shown = {
        key
        for key, operation in operations.items()
        if key[0] == "get" and "ETag" in operation["responses"]["200"]["headers"]
    }

    assert takers == answerers == shown
    assert SHOW in shown


def test_every_act_on_one_record_takes_if_match_or_deletes_it(operations):
    takers = {
        key
        for key, operation in operations.items()
        if any(item["name"] == "If-Match" for item in operation["parameters"])
    }
    acts = {key for key in operations if key[0] != "get" and "{" in key[1]}

    assert {key for key in acts - takers if key[0] != "delete"} == {
        ("post", "/api/admin/clients/{client_id}/markets")
    }


def test_every_creation_of_one_record_has_its_etag(operations):
    creations = {
        key: operation["responses"]["201"]["headers"]
        for key, operation in operations.items()
        if "201" in operation["responses"]
    }

    without = {key for key, names in creations.items() if "ETag" not in names}
    assert without == {
        ("post", "/api/admin/clients/{client_id}/markets"),
        ("post", "/api/admin/clients:batch"),
    }
    assert all("Location" in names for names in creations.values())


def test_header_parameters_are_those_that_cors_allows(described):
    parameters = described["components"]["parameters"].values()

    names = {item["name"] for item in parameters if item["in"] == "header"}
    assert names == set(headers.REQUEST_HEADERS)


def test_security_schemes_match_the_operations(described, operations):
    schemes = described["components"]["securitySchemes"]

    assert described["security"] == [{"access_token": []}]
    assert operations[LOGIN]["security"] == operations[DOCS]["security"] == []
    assert operations["post", "/api/auth/refresh"]["security"] == [{"refresh_token": []}]
    assert "security" not in operations[CREATE]
    assert {(scheme["type"], scheme["scheme"]) for scheme in schemes.values()} == {
        ("http", "bearer"),
        ("http", "Machine"),
    }


def test_request_schemas_forbid_unknown_fields_and_responses_allow_them(described):
    schemas = described["components"]["schemas"]
    request, response = schemas["ClientIn"], schemas["ClientCreated"]

    assert request["additionalProperties"] is False
    assert request["required"] == ["name", "wallet_address"]
    assert request["properties"]["tier"]["enum"] == [
        "Basic",
        "Standard",
        "Premium",
        "Enterprise",
        None,
    ]
    assert request["properties"]["name"]["maxLength"] == 255
    assert "additionalProperties" not in response
    assert response["required"] == ["success", "message", "request_id", "client", "metadata"]


def test_components_are_all_used(described):
    text = json.dumps(described)
    unused = [
        name
        for kind in described["components"].keys() - {"securitySchemes"}
        for name in described["components"][kind]
        if f'"#/components/{kind}/{name}"' not in text
    ]

    assert unused == []


def test_path_parameters_are_in_the_order_of_the_path(described):
    names = {
        path: [parameter["name"] for parameter in members.get("parameters", [])]
        for path, members in resolve(described, described["paths"]).items()
    }

    assert names == {path: re.findall(r"{(\w+)}", path) for path in described["paths"]}


def test_openapi_document_has_the_configured_limits(variant, described):
    client = variant(RATELIMIT_CREATE="7/hour").test_client()

    other = client.get("/api/openapi.json").json

    assert (
        "Counts against `create` (7 in 3600 s)"
        in other["paths"][QUICK_CLIENT]["post"]["description"]
    )
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
def test_guide_covers_all_steps_of_an_integration(described, word):
    guide = described["info"]["description"]

    assert word in guide
    assert guide.count("\n") <= 60


def test_openapi_library_registers_no_handlers_or_pages(app):
    handler = app.error_handler_spec[None][None][HTTPException]

    assert handler.__module__ == "pipelabs.web.errors"
    assert not [rule for rule in app.url_map.iter_rules() if "api-docs" in rule.endpoint]
