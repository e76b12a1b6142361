import io
import json
import socket
import threading

import pytest

from pipelabs.vault import probe
from pipelabs.vault.probe import ask
from pipelabs.vault.probe.report import Failure, Target
from tests.each import each
from tests.stub_exchange import Scenario, credentials
from tests.stub_exchange.server import Handler


def question(target, scenario=Scenario.READ_ONLY, **changes):
    named = credentials(target.slug, scenario)
    return probe.make_question(target, named, 5) | changes


def failure(target, answer):
    return probe.conclude(target, {}, answer, ms=0).failure


def test_main_answers_on_stdout(target, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(question(target("okx")))))
    monkeypatch.setattr("sys.stdout", out)

    ask.main()

    assert json.loads(out.getvalue())["raw"]["code"] == "0"


def test_answer_uses_no_proxy_of_the_environment(target, stub, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    answer = ask.answer(question(target("okx")))

    assert "raw" in answer
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "hosts",
    [[], ["okx.com"], ["www.okx.com:8443"], ["www.okx.com@elsewhere.test"], ["evil.www.okx.com"]],
)
def test_answer_contacts_no_host_that_is_not_listed(monkeypatch, hosts):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("It looked one up."))
    okx = Target("okx", "okx", frozenset(hosts))

    answer = ask.answer(question(okx))

    assert failure(okx, answer) is Failure.OTHER
    assert '"blocked": "host"' in json.dumps(answer)


def test_answer_contacts_a_listed_host_only_by_https(monkeypatch):
    looked_up = []

    def fail_lookup(host, port, *_, **__):
        looked_up.append((host, port))
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail_lookup)
    okx = Target("okx", "okx", frozenset({"www.okx.com"}))

    answer = ask.answer(question(okx))

    assert looked_up == [("www.okx.com", 443)]
    assert failure(okx, answer) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("ccxt_id", "host"),
    [
        ("binance", "testnet.binance.vision"),
        ("bybit", "api-testnet.bybit.com"),
        ("okx", "www.okx.com"),
    ],
)
def test_answer_asks_a_testnet_at_its_own_host(monkeypatch, ccxt_id, host):
    looked_up = []

    def fail_lookup(host, *_, **__):
        looked_up.append(host)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail_lookup)

    ask.answer(question(Target(ccxt_id, ccxt_id, frozenset({host}), is_testnet=True)))

    assert looked_up == [host]


@each("ccxt_id", ["kucoin", "coinbase", "mexc"])
def test_answer_for_an_exchange_without_a_testnet_is_a_failure(ccxt_id):
    testnet = Target(ccxt_id, ccxt_id, frozenset(), is_testnet=True)

    assert failure(testnet, ask.answer(question(testnet))) is Failure.OTHER


def test_answer_from_a_closed_port_is_unreachable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    okx = Target("okx", "okx", frozenset(), base_url=url)

    assert failure(okx, ask.answer(question(okx))) is Failure.UNREACHABLE


def test_answer_from_a_server_without_tls_is_unreachable(target, stub):
    host = stub.base_url.removeprefix("http://")
    okx = Target("okx", "okx", frozenset(), base_url=f"https://{host}")

    assert failure(okx, ask.answer(question(okx))) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("slug", "named"),
    [
        ("okx", {"apiKey": "okx-read-only", "secret": "s"}),
        ("coinbase", {"apiKey": "k", "secret": "-----BEGIN EC PRIVATE KEY-----\nno\n"}),
        ("kraken", {"apiKey": "k", "secret": "not base 64"}),
        ("okx", {"apiKey": "okx\nread-only", "secret": "s", "password": "p"}),
    ],
)
def test_answer_sends_nothing_if_the_credentials_can_not_sign(target, stub, slug, named):
    answer = ask.answer(question(target(slug), credentials=named))

    assert failure(target(slug), answer) is Failure.CREDENTIALS
    assert stub.requests == []


@each(
    ("body", "code"),
    [
        ({"code": -1021}, "-1021"),
        ({"retCode": 10002, "error": "later"}, "10002"),
        ({"label": "INVALID_KEY"}, "INVALID_KEY"),
        ({"error": "PERMISSION_DENIED"}, "PERMISSION_DENIED"),
        ({"errors": [{"id": "authentication_error"}]}, "authentication_error"),
        ({"errors": [{}]}, None),
        ({"error": ["EAPI:Invalid key"]}, "EAPI:Invalid key"),
        ({"error": []}, None),
        ({"code": {"a": 1}}, None),
        ({"label": "x" * 100}, "x" * 64),
        ([], None),
        ("text", None),
    ],
)
def test_code_is_read_from_every_known_field(body, code):
    assert ask._code(body) == code


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_skew_is_unknown_without_a_date(date):
    class Response:
        headers = {"Date": date} if date else {}

    assert ask._skew_s(Response) is None


@pytest.mark.parametrize("status", [200, 204, 400, 500])
def test_answer_that_is_not_json_is_a_failure_whatever_the_status(
    target, stub, monkeypatch, status
):
    monkeypatch.setattr(Handler, "_answer", lambda self, *_: self._send(status, "<p>maintenance"))

    answer = ask.answer(question(target("okx")))

    assert failure(target("okx"), answer) is Failure.NOT_JSON


def test_answer_that_breaks_off_is_unreachable(target, stub):
    threading.Timer(0.2, stub.stopping.set).start()

    answer = ask.answer(question(target("okx"), Scenario.DRIP))

    assert failure(target("okx"), answer) is Failure.UNREACHABLE


def test_guard_takes_a_member_given_twice_for_no_answer():
    guard = ask.Guard(None, frozenset())
    guard.body = b'{"data": [{"perm": "withdraw", "perm": "read_only"}]}'

    with pytest.raises(ValueError, match="twice"):
        guard.answer()


def test_guard_close_closes_the_inner_adapter():
    closed = []

    class Inner:
        def close(self):
            closed.append(True)

    ask.Guard(Inner(), frozenset()).close()

    assert closed == [True]
