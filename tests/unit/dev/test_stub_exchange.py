import http.client
import json
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests.stub_exchange import SLUGS, Scenario, __main__, credentials, keys, running, tokens
from tests.stub_exchange.answers import ANSWERS
from tests.stub_exchange.faults import REFUSALS, Fault
from tests.stub_exchange.request import Request
from tests.stub_exchange.signatures import CHECKS


@pytest.fixture
def stub():
    with running() as stub:
        yield stub


def call(url, method, path):
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def fault(slug, now, headers, query=""):
    """Return what a check says of a request that is known to be signed right at 1,700,000,000."""
    method, path = ANSWERS[slug][0].split()
    known = {"api_key": "key", "api_secret": "secret", "passphrase": "phrase"}
    return CHECKS[slug](Request(method, path, query, headers, b""), known, now)


NOW = 1_700_000_000


def openssl(text, digest="-sha256", *, encode=False):
    """Sign with a program that knows neither ccxt nor the stub."""
    made = subprocess.run(
        ["openssl", "dgst", digest, "-hmac", "secret", "-binary"],
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout
    if not encode:
        return made.hex()
    coded = subprocess.run(["openssl", "base64", "-A"], input=made, capture_output=True, check=True)
    return coded.stdout.decode()


@pytest.mark.parametrize(
    ("late_s", "expected"), [(0, None), (5, None), (6, Fault.CLOCK), (-2, Fault.CLOCK)]
)
@pytest.mark.parametrize(("slug", "name"), [("binance", "X-MBX-APIKEY"), ("mexc", "X-MEXC-APIKEY")])
def test_signed_query_is_checked(slug, name, late_s, expected):
    query = "timestamp=1700000000000&recvWindow=5000"
    signed = f"{query}&signature={openssl(query)}"

    assert fault(slug, NOW + late_s, {name: "key"}, signed) is expected
    assert fault(slug, NOW, {name: "key"}, signed + "0") is Fault.SECRET
    assert fault(slug, NOW, {name: "other"}, signed) is Fault.KEY
    assert fault(slug, NOW, {name: "key"}, "signature=") is Fault.CLOCK


def test_bybits_signature_is_checked():
    headers = {
        "X-BAPI-TIMESTAMP": "1700000000000",
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": openssl("1700000000000key5000"),
    }

    assert fault("bybit", NOW, headers) is None
    assert fault("bybit", NOW + 9, headers) is Fault.CLOCK
    assert fault("bybit", NOW, headers | {"X-BAPI-SIGN": ""}) is Fault.SECRET


def test_okxs_signature_and_passphrase_are_checked():
    moment = "2023-11-14T22:13:20.000Z"
    headers = {
        "OK-ACCESS-TIMESTAMP": moment,
        "OK-ACCESS-PASSPHRASE": "phrase",
        "OK-ACCESS-SIGN": openssl(f"{moment}GET/api/v5/account/config", encode=True),
    }

    assert fault("okx", NOW, headers) is None
    assert fault("okx", NOW + 31, headers) is Fault.CLOCK
    assert fault("okx", NOW, headers | {"OK-ACCESS-TIMESTAMP": "soon"}) is Fault.CLOCK
    assert fault("okx", NOW, headers | {"OK-ACCESS-PASSPHRASE": "x"}) is Fault.PASSPHRASE
    assert fault("okx", NOW, headers | {"OK-ACCESS-SIGN": "x"}) is Fault.SECRET


@pytest.mark.parametrize(
    ("version", "expected"), [("2", None), ("3", None), ("1", Fault.PASSPHRASE)]
)
def test_kucoins_signature_and_signed_passphrase_are_checked(version, expected):
    headers = {
        "KC-API-TIMESTAMP": "1700000000000",
        "KC-API-KEY-VERSION": version,
        "KC-API-PASSPHRASE": openssl("phrase", encode=True),
        "KC-API-SIGN": openssl("1700000000000GET/api/v1/user/api-key", encode=True),
    }

    assert fault("kucoin", NOW, headers) is expected
    assert fault("kucoin", NOW + 6, headers) is Fault.CLOCK
    if expected is None:
        assert fault("kucoin", NOW, headers | {"KC-API-PASSPHRASE": "phrase"}) is Fault.PASSPHRASE
        assert fault("kucoin", NOW, headers | {"KC-API-SIGN": "x"}) is Fault.SECRET


def test_bitgets_signature_and_passphrase_are_checked():
    headers = {
        "ACCESS-TIMESTAMP": "1700000000000",
        "ACCESS-PASSPHRASE": "phrase",
        "ACCESS-SIGN": openssl("1700000000000GET/api/v2/spot/account/info", encode=True),
    }

    assert fault("bitget", NOW, headers) is None
    assert fault("bitget", NOW + 31, headers) is Fault.CLOCK
    assert fault("bitget", NOW, headers | {"ACCESS-PASSPHRASE": "x"}) is Fault.PASSPHRASE
    assert fault("bitget", NOW, headers | {"ACCESS-SIGN": "x"}) is Fault.SECRET


def test_gates_signature_is_checked():
    empty = (
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    )
    text = f"GET\n/api/v4/account/main_keys\n\n{empty}\n1700000000"
    headers = {"Timestamp": "1700000000", "SIGN": openssl(text, "-sha512")}

    assert fault("gate", NOW, headers) is None
    assert fault("gate", NOW + 61, headers) is Fault.CLOCK
    assert fault("gate", NOW, headers | {"SIGN": "x"}) is Fault.SECRET


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "e30.e30.e30", "eyJhbGciOiJFUzI1NiJ9.e30.x"])
def test_malformed_token_is_rejected(token):
    headers = {"Authorization": f"Bearer {token}"}

    assert fault("coinbase", NOW, headers) in {Fault.KEY, Fault.CLOCK}
    assert tokens.subject(headers) in {"", "None"}


@pytest.mark.parametrize("slug", SLUGS)
def test_request_without_a_key_gets_the_exchanges_own_error(stub, slug):
    method, path = ANSWERS[slug][0].split()
    refusal = REFUSALS[slug][Fault.KEY]

    status, text = call(stub.base_url, method, f"/{slug}{path}")

    assert status == refusal.status
    assert text == (refusal.body if slug == "coinbase" else json.dumps(refusal.body))


@pytest.mark.parametrize("path", ["/", "/okx", "/okx/api/v5/account/balance", "/nowhere/x"])
def test_unknown_path_is_not_found_but_recorded(stub, path):
    status, _ = call(stub.base_url, "GET", path)

    assert status == 404
    assert stub.requests == [f"GET {path}"]


def test_redirect_target_records_requests(stub):
    call(stub.elsewhere_url, "POST", "/stolen?secret=1")

    assert stub.elsewhere == ["POST /stolen"]


def test_keys_are_deterministic():
    assert credentials("okx", Scenario.TRADE_ONLY) == {
        "api_key": "okx-trade-only",
        "api_secret": "f83d92de2eb06cc6892ed8996e417c3f8eef4ef5936d53cabc6ab32bde92ced2",
        "passphrase": "7eb23d5f512a8d8e",
    }


@pytest.mark.parametrize("slug", SLUGS)
def test_keys_of_an_exchange_are_printed(capsys, slug):
    assert __main__.main(["--keys", slug]) == 0

    printed = capsys.readouterr().out
    assert all(credential["api_key"] in printed for credential in keys(slug).values())
    assert all(credential["api_secret"].rstrip() in printed for credential in keys(slug).values())


def test_stub_serves_until_interrupted():
    words = [sys.executable, "-m", "tests.stub_exchange", "--port", "0"]

    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        line = next(iter(program.stdout or []))
        program.send_signal(signal.SIGINT)

    assert "The stub exchange is at http://127.0.0.1:" in line
    assert program.returncode == 0
