"""Secrets of API keys never leak to the database, responses, logs or audit lines."""

import base64
import json
import os
import re
import subprocess
from math import ceil
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys, make_wallet
from tests.instances import OWNER, RAISED_LIMITS, fleet
from tests.samples import fetch_metrics
from tests.servers import postgres_program
from tests.stub_exchange import Scenario, credentials

KEYS = "/api/admin/api-keys"
CANARY = "c4nary+7f3b/1d90=c4e8&46 2a%5c1?"
"""A secret that needs escaping everywhere, for an exchange that can't be probed."""
METRICS_TOKEN = token_urlsafe(48)
SLOW = {Scenario.TIME_OUT, Scenario.DRIP}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def desk(stub, tmp_path, worker_id):
    """An instance with a vault, the stub exchange and debug logs."""
    settings = RAISED_LIMITS | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "staging",
        "LOG_LEVEL": "DEBUG",
        "METRICS_TOKEN": METRICS_TOKEN,
    }
    with fleet(f"canary_{worker_id}", tmp_path, instances=1, **settings) as running:
        running.flask("seed", "exchanges")
        yield running


def base64_forms(secret):
    """Yield the base64 characters that depend only on the secret, for each alignment."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret + b"\0\0").decode()
        yield text[ceil(before * 8 / 6) : (before + len(secret)) * 8 // 6]


def encoded_forms(secret):
    """Return a secret as plain text, hex, base64, URL-encoded and JSON-encoded."""
    plain = secret.encode()
    coded = list(base64_forms(plain))
    safe = [text.replace("+", "-").replace("/", "_") for text in coded]
    escaped = [quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]]
    return {secret, plain.hex(), plain.hex().upper(), *coded, *safe, *escaped}


def dump_database(running):
    """Return the whole database as text, with binary values decoded too."""
    program = postgres_program("pg_dump")
    if program.exists():
        url = make_url(running.environment["DATABASE_MIGRATION_URL"]).set(drivername="postgresql")
        command = [str(program), "--dbname", url.render_as_string(hide_password=False)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        tables = [table for (table,) in running.query(TABLES)]
        rows = [running.query(f"SELECT t::text FROM {table} t") for table in tables]  # noqa: S608
        text = str(rows)
    blobs = re.findall(r"\\\\?x([0-9a-f]{2,})", text)
    return text + "".join(bytes.fromhex(blob).decode("latin-1") for blob in blobs)


def use_keys(running):
    """Take keys through their life cycle; return all secrets and all responses."""
    token, responses = running.sign_in(), []
    known = [credentials("okx", scenario) for scenario in Scenario if scenario not in SLOW]
    good, newer = credentials("okx", Scenario.TRADE_ONLY), credentials("okx", Scenario.IP_BOUND)
    canary = {"api_key": f"k{CANARY}", "api_secret": CANARY}

    def call(method, path, body=None):
        status, headers, answer = running.call(method, path, body, token)
        responses.append(f"{status} {headers} {json.dumps(answer, ensure_ascii=False)}")
        return answer

    body = make_body(wallet_address=make_wallet(), email=None)
    client_id = call("POST", QUICK_CLIENT, body)["client"]["id"]
    account = {"client_id": client_id, "exchange": "okx"}
    live = call("POST", KEYS, account | good)["api_key"]["id"]
    for number, key in enumerate(known):
        call("POST", KEYS, account | key | {"label": f"account {number}"})
    invalid = good | {"api_secret": CANARY, "passphrase": CANARY}
    call("POST", KEYS, account | invalid | {"label": "invalid"})
    for change in ({}, {"surplus": 1}, {"exchange": "nowhere"}, {"expires_at": "never"}):
        call("POST", KEYS, account | good | change)
    alpaca = call("POST", KEYS, account | canary | {"exchange": "alpaca"})["api_key"]["id"]
    candidate = call("POST", f"{KEYS}/{live}/replace", newer)["api_key"]["id"]
    call("POST", f"{KEYS}/{live}/replace", invalid)
    for key_id, act in (
        *((live, "verify"), (alpaca, "verify"), (candidate, "cut-over"), (candidate, "roll-back")),
        *((candidate, "verify"), (candidate, "revoke"), (alpaca, "revoke"), (alpaca, "verify")),
    ):
        call("POST", f"{KEYS}/{key_id}/{act}")
    for path in (KEYS, f"{KEYS}?stage=destroyed", f"{KEYS}/expiring?days=365", f"{KEYS}/{live}"):
        call("GET", path)
    return {text for key in (canary, *known) for text in key.values()}, "\n".join(responses)


def test_secrets_do_not_leak_to_storage_responses_or_logs(desk, tmp_path, record_property):
    secrets, responses = use_keys(desk)
    metrics = fetch_metrics(desk.ports[0], METRICS_TOKEN)
    desk.masters[0].terminate()
    desk.masters[0].wait(120)
    places = {
        "responses": responses,
        "database": dump_database(desk),
        "audit file": "\n".join(desk.lines()),
        "output": Path(tmp_path / "output.log").read_text(),
        "metrics": metrics,
    }

    searched = {form for secret in {*secrets, METRICS_TOKEN} for form in encoded_forms(secret)}
    leaks = {name: [form for form in searched if form in text] for name, text in places.items()}

    record_property("forms searched for", len(searched))
    record_property("characters", {name: len(text) for name, text in places.items()})
    assert leaks == {name: [] for name in places}
    assert all("api_key.revoked" in places[name] for name in ("database", "output"))
    assert "client.created" in places["audit file"]
    assert 'event="api_key.revoked"' in metrics
    [(wallet, name)] = desk.query("SELECT wallet_address, name FROM clients")
    assert [text for text in (wallet, name, OWNER) if text in metrics] == []
    assert all(
        text in responses for text in ("••••only", "Cut over", "Rolled back", "API key revoked")
    )


@pytest.mark.parametrize("before", range(3))
def test_secret_search_finds_encoded_secrets(before):
    hidden = os.urandom(before) + CANARY.encode() + os.urandom(5)

    texts = (base64.b64encode(hidden).decode(), hidden.hex(), quote(hidden), f"x{CANARY}x")

    assert all(any(form in text for form in encoded_forms(CANARY)) for text in texts)
