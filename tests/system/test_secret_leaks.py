"""The vault's promise: a secret is in a process alone; not in what it stores, answers or logs."""

import base64
import json
import os
import re
import subprocess
from math import ceil
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys, make_wallet
from tests.instances import RAISED, fleet
from tests.servers import postgres_program
from tests.stub_exchange import Scenario, credentials

KEYS = "/api/admin/api-keys"
OWN = "c4nary+7f3b/1d90=c4e8&46 2a%5c1?"
"""A secret that needs escaping everywhere, for an exchange that nobody can ask."""
SLOW = {Scenario.TIME_OUT, Scenario.DRIP}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def desk(stub, tmp_path, worker_id):
    """An instance with a vault that asks the stub, and says all that it has to say."""
    settings = RAISED | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "LOG_LEVEL": "DEBUG",
    }
    with fleet(f"canary_{worker_id}", tmp_path, instances=1, **settings) as running:
        running.flask("seed", "exchanges")
        yield running


def within_base64(secret):
    """Return the characters that are the secret's alone, at each place it may begin at."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret + b"\0\0").decode()
        yield text[ceil(before * 8 / 6) : (before + len(secret)) * 8 // 6]


def forms(secret):
    """Return a secret as it could be written: clear, hex, base64, in a URL, in JSON."""
    clear = secret.encode()
    coded = list(within_base64(clear))
    safe = [text.replace("+", "-").replace("/", "_") for text in coded]
    escaped = [quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]]
    return {secret, clear.hex(), clear.hex().upper(), *coded, *safe, *escaped}


def dumped(running):
    """Return the whole database as text, and what its bytes say."""
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


def live_through(running):
    """Live the lives of keys, good and bad ones; return all secrets, and all that was answered."""
    token, told = running.sign_in(), []
    known = [credentials("okx", one) for one in Scenario if one not in SLOW]
    good, newer = credentials("okx", Scenario.TRADE_ONLY), credentials("okx", Scenario.IP_BOUND)
    own = {"api_key": f"k{OWN}", "api_secret": OWN}

    def call(method, path, body=None):
        status, headers, answer = running.call(method, path, body, token)
        told.append(f"{status} {headers} {json.dumps(answer, ensure_ascii=False)}")
        return answer

    person = make_body(wallet_address=make_wallet(), email=None)
    client_id = call("POST", QUICK_CLIENT, person)["client"]["id"]
    account = {"client_id": client_id, "exchange": "okx"}
    live = call("POST", KEYS, account | good)["api_key"]["id"]
    for number, one in enumerate(known):
        call("POST", KEYS, account | one | {"label": f"account {number}"})
    wrong = good | {"api_secret": OWN, "passphrase": OWN}
    call("POST", KEYS, account | wrong | {"label": "wrong"})
    for more in ({}, {"surplus": 1}, {"exchange": "nowhere"}, {"expires_on": "never"}):
        call("POST", KEYS, account | good | more)
    alpaca = call("POST", KEYS, account | own | {"exchange": "alpaca"})["api_key"]["id"]
    candidate = call("POST", f"{KEYS}/{live}/replace", newer)["api_key"]["id"]
    call("POST", f"{KEYS}/{live}/replace", wrong)
    for key_id, act in (
        *((live, "verify"), (alpaca, "verify"), (candidate, "cut-over"), (candidate, "roll-back")),
        *((candidate, "verify"), (candidate, "revoke"), (alpaca, "revoke"), (alpaca, "verify")),
    ):
        call("POST", f"{KEYS}/{key_id}/{act}")
    for path in (KEYS, f"{KEYS}?stage=destroyed", f"{KEYS}/expiring?days=365", f"{KEYS}/{live}"):
        call("GET", path)
    return {text for one in (own, *known) for text in one.values()}, "\n".join(told)


def test_a_secret_is_found_nowhere_but_in_a_process(desk, tmp_path, record_property):
    found, told = live_through(desk)
    desk.masters[0].terminate()
    desk.masters[0].wait(120)
    places = {
        "answers": told,
        "database": dumped(desk),
        "audit file": "\n".join(desk.lines()),
        "output": Path(tmp_path / "output.log").read_text(),
    }

    searched = {form for secret in found for form in forms(secret)}
    leaks = {name: [one for one in searched if one in text] for name, text in places.items()}

    record_property("forms searched for", len(searched))
    record_property("characters", {name: len(text) for name, text in places.items()})
    assert leaks == {name: [] for name in places}
    assert all("api_key.revoked" in places[name] for name in ("database", "output"))
    assert "client.created" in places["audit file"]
    assert all(said in told for said in ("••••only", "Cut over", "Rolled back", "API key revoked"))


@pytest.mark.parametrize("before", range(3))
def test_the_search_finds_what_is_hidden(before):
    hidden = os.urandom(before) + OWN.encode() + os.urandom(5)

    texts = (base64.b64encode(hidden).decode(), hidden.hex(), quote(hidden), f"x{OWN}x")

    assert all(any(form in text for form in forms(OWN)) for text in texts)
