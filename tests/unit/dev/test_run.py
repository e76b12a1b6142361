import json

from dev import gunicorn, run
from dev.run import new_client
from tests.factories import make_body
from tests.stub_exchange import Scenario, credentials


def test_each_start_shows_another_client():
    first, second = new_client(), new_client()

    assert first.keys() <= make_body().keys() | {"tier", "notes"}
    assert first["wallet_address"] != second["wallet_address"]
    assert first["email"] != second["email"]
    assert first["wallet_address"] == first["wallet_address"].lower()


def test_demo_key_is_given_to_an_active_client(monkeypatch):
    calls = []

    def call(port, method, path, body=None, token=""):
        calls.append((method, path, body))
        return 200, json.dumps({"data": [{"id": "the-client"}]}).encode()

    monkeypatch.setattr(gunicorn, "call", call)

    run._add_demo_key(8000, "token")

    [(_, listed, _), (method, path, body)] = calls
    assert "status=active" in listed
    assert (method, path) == ("POST", "/api/admin/api-keys")
    assert body == {
        "client_id": "the-client",
        "exchange": "okx",
        "label": "quoter",
        **credentials("okx", Scenario.QUOTER),
    }
