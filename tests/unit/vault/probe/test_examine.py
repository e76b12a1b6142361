import json
import os
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from pipelabs.vault import probe
from pipelabs.vault.probe.report import Failure, KeyPermission, Verdict
from pipelabs.vault.probe.rules import RULES
from tests.each import each
from tests.stub_exchange import SLUGS, Scenario, credentials
from tests.stub_exchange.answers import ANSWERS, EXPIRES_AT
from tests.waiting import TIMEOUT_S, wait_for

EIGHT = [slug for slug in SLUGS if slug != "kraken"]
SHOWN = ("cmdline", "environ")
# read, trade, futures, transfer, withdraw, ip_bound, expires: yes, no, unknown
VERDICTS = {
    "binance": {"read-only": "ynnnnnu", "trade-only": "yyynnnu", "withdraw": "yyyyyyu"},
    "bybit": {"read-only": "ynnnnnu", "trade-only": "yyynnnu", "withdraw": "yyyyyyu"},
    # trade includes the permission to transfer
    "okx": {"read-only": "ynnnnnu", "trade-only": "yyyynnu", "withdraw": "yyyyyyu"},
    "kucoin": {"read-only": "ynnnnuu", "trade-only": "yyynnuu", "withdraw": "yyyyyyu"},
    "coinbase": {"read-only": "ynnnnuu", "trade-only": "yyynnuu", "withdraw": "yyyyyuu"},
    # the list of keys has no documented name for the permission to withdraw
    "gate": {"read-only": "ynnnunu", "trade-only": "yyynunu", "withdraw": "yyyyuyu"},
    # reports the permissions of the account, not of the key
    "mexc": {"read-only": "yuuuuuu", "trade-only": "yuuuuuu", "withdraw": "yuuuuuu"},
    "bitget": {"read-only": "ynnnnnu", "trade-only": "yyynnnu", "withdraw": "yyyyyyu"},
    "kraken": {"read-only": "yuuuuuu", "trade-only": "yuuuuuu", "withdraw": "yuuuuuu"},
}
WRONG_SECRET = {
    "binance": "-1022",
    "bybit": "10004",
    "okx": "50113",
    "kucoin": "400005",
    "coinbase": None,
    "gate": "INVALID_SIGNATURE",
    "mexc": "700002",
    "bitget": "40009",
    "kraken": None,
}
WRONG_CLOCK = {
    "binance": "-1021",
    "bybit": "10002",
    "okx": "50102",
    "kucoin": "400002",
    "coinbase": None,
    "gate": "REQUEST_EXPIRED",
    "mexc": "700003",
    "bitget": "40008",
    "kraken": None,
}


def letters(report):
    return "".join(finding.verdict[0] for finding in report.findings)


def asked(stub, slug):
    """Return whether the documented request was the only one sent."""
    method, path = ANSWERS[slug][0].split()
    return stub.requests == [f"{method} /{slug}{path}"] and stub.elsewhere == []


def other_secret(slug):
    return credentials(slug, Scenario.READ_ONLY)["api_secret"]


@each("slug", SLUGS)
@each("scenario", ["read-only", "trade-only", "withdraw"])
def test_examine_reports_the_permissions_of_the_exchange(examine, stub, slug, scenario):
    report = examine(slug, Scenario(scenario))

    assert letters(report) == VERDICTS[slug][scenario]
    assert [finding.permission for finding in report.findings] == list(KeyPermission)
    assert report.failure is None
    assert asked(stub, slug)


@each("slug", SLUGS)
@each(
    ("scenario", "timeout_s", "failure"),
    [
        (Scenario.TIME_OUT, 0.15, Failure.TIMEOUT),
        (Scenario.HTML, 60, Failure.NOT_JSON),
        (Scenario.REDIRECT, 60, Failure.REDIRECT),
        (Scenario.HUGE, 60, Failure.OTHER),
        (Scenario.BUSY, 60, Failure.BUSY),
    ],
)
def test_examine_distinguishes_failures(examine, stub, slug, scenario, timeout_s, failure):
    report = examine(slug, scenario, timeout_s)

    assert report.failure is failure
    assert letters(report) == "uuuuuuu"
    # The exchange may read what was sent after its answer is no longer waited for.
    wait_for(lambda: asked(stub, slug))


@each("slug", SLUGS)
def test_examine_reports_a_wrong_secret_with_its_code(examine, stub, slug):
    report = examine(slug, Scenario.TRADE_ONLY, api_secret=other_secret(slug))

    assert (report.failure, report.detail) == (Failure.CREDENTIALS, WRONG_SECRET[slug])
    assert letters(report) == "uuuuuuu"
    assert asked(stub, slug)


@each("slug", SLUGS)
def test_examine_distinguishes_a_wrong_clock_from_a_wrong_key(examine, stub, slug):
    report = examine(slug, Scenario.WRONG_CLOCK)

    assert (report.failure, report.detail) == (Failure.CLOCK, WRONG_CLOCK[slug])
    assert asked(stub, slug)


def test_examine_tells_another_program_from_a_wrong_clock(examine):
    assert examine("kraken", Scenario.SHARED).failure is Failure.NONCE
    assert examine("okx", Scenario.SHARED).failure is None


def test_examine_asks_another_endpoint_about_a_unified_account(examine, stub):
    report = examine("bitget", Scenario.UNIFIED)

    assert (report.failure, letters(report)) == (None, "yyyynnu")
    assert report.verdict(KeyPermission.WITHDRAW) is Verdict.NO
    paths = ("/bitget/api/v2/spot/account/info", "/bitget/api/v3/account/info")
    assert stub.requests == [f"GET {path}" for path in paths]


def test_examine_reports_why_the_other_endpoint_did_not_answer(examine, stub):
    report = examine("bitget", Scenario.UNIFIED, passphrase="not the passphrase")

    assert report.failure is Failure.CREDENTIALS
    assert len(stub.requests) == 1


@each("slug", ["okx", "kucoin", "bitget"])
def test_examine_reports_a_wrong_passphrase_as_wrong_credentials(examine, slug):
    report = examine(slug, Scenario.TRADE_ONLY, passphrase="not the passphrase")

    assert report.failure is Failure.CREDENTIALS


@each("slug", SLUGS)
def test_examine_reports_an_unknown_key_as_wrong_credentials(examine, slug):
    report = examine(slug, Scenario.TRADE_ONLY, api_key=f"{slug}-of-another")

    # Binance has one code for an unknown key, a wrong address and a missing permission.
    expected = Failure.REJECTED if slug == "binance" else Failure.CREDENTIALS
    assert report.failure is expected


@each("slug", ["bybit", "okx", "kucoin", "gate", "mexc", "bitget"])
def test_examine_reports_a_rejected_ip_address_that_has_a_code(examine, slug):
    report = examine(slug, Scenario.WRONG_ADDRESS)

    assert report.failure is Failure.ADDRESS


@each("slug", sorted({*SLUGS} - {"binance", "okx"}))
def test_examine_reports_a_key_that_may_not_read_its_permissions(examine, slug):
    report = examine(slug, Scenario.NO_PERMISSION)

    assert report.failure is Failure.PERMISSION


def pem(key, password=None):
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


UNUSABLE = {
    "encrypted": pem(ec.generate_private_key(ec.SECP256R1()), b"a word"),
    "wrong curve": pem(ec.generate_private_key(ec.SECP384R1())),
    "RSA": pem(rsa.generate_private_key(65537, 2048)),
    "not PEM": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
    "a word": "secret",
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_examine_blames_a_key_that_cannot_sign(examine, stub, kind):
    report = examine("coinbase", Scenario.TRADE_ONLY, api_secret=UNUSABLE[kind])

    assert report.failure is Failure.CREDENTIALS


@pytest.mark.parametrize("slug", ["binance", "bybit"])
def test_examine_reports_the_expiry(examine, slug):
    report = examine(slug, Scenario.EXPIRING)

    assert report.verdict(KeyPermission.EXPIRES) is Verdict.YES
    assert report.expires_at == EXPIRES_AT


@each("slug", SLUGS)
def test_examine_reports_no_credential(examine, slug):
    named = credentials(slug, Scenario.WITHDRAW)

    text = repr(examine(slug, Scenario.WITHDRAW))

    assert not any(secret in text for secret in named.values())


def test_examine_in_a_child_process(target, stub):
    named = credentials("bybit", Scenario.TRADE_ONLY)

    report = probe.examine(target("bybit"), named, deadline_s=TIMEOUT_S)

    assert letters(report) == "yyynnnu"
    assert report.failure is None
    assert report.ms > 0
    assert asked(stub, "bybit")


@pytest.mark.parametrize("scenario", [Scenario.DRIP, Scenario.TIME_OUT])
def test_examine_ends_at_the_deadline(target, scenario):
    named = credentials("okx", scenario)

    report = probe.examine(target("okx"), named, deadline_s=0.8)

    assert report.failure is Failure.TIMEOUT
    assert report.ms >= 800


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_examine_hides_credentials_and_settings_from_the_process_list(target, stub, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "never to be seen there")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    named = credentials("okx", Scenario.TIME_OUT)
    deadline = {"deadline_s": TIMEOUT_S}
    thread = threading.Thread(target=probe.examine, args=(target("okx"), named), kwargs=deadline)

    thread.start()
    wait_for(lambda: stub.requests)
    seen = [child.joinpath(name).read_text() for child in children() for name in SHOWN]
    stub.stopping.set()
    thread.join()

    assert len(seen) == 2
    assert "ask.py" in seen[0]
    assert not any(text in "".join(seen) for text in (*named.values(), "SECRET", "PROXY"))


def children():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = f"PPid:\t{os.getpid()}\n" in (folder / "status").read_text()
            if is_ours and "ask.py" in (folder / "cmdline").read_text():
                yield folder
        except OSError:  # it has ended
            continue


def test_examine_accepts_escaped_line_breaks_of_a_private_key(examine):
    secret = credentials("coinbase", Scenario.READ_ONLY)["api_secret"]

    report = examine("coinbase", Scenario.READ_ONLY, api_secret=json.dumps(secret)[1:-1])

    assert report.failure is None


def test_examine_frees_its_slot_after_a_timeout(target, stub):
    named = credentials("okx", Scenario.READ_ONLY)

    reports = [probe.examine(target("okx"), named, deadline_s=0) for _ in range(5)]

    assert {finding.failure for finding in reports} == {Failure.TIMEOUT}
    assert probe.examine(target("okx"), named, deadline_s=TIMEOUT_S).failure is None


def test_stub_plays_every_exchange_with_a_rule():
    assert set(EIGHT) == set(RULES)
