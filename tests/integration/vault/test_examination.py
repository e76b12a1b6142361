from pipelabs.vault.envelope import Secret
from pipelabs.vault.examination import ALL_UNKNOWN, ProbeRequest, probe_key
from pipelabs.vault.probe import KeyPermission, Verdict
from tests.factories import make_credentials
from tests.stub_exchange import Scenario, credentials


def make_request(exchange):
    return ProbeRequest(exchange=exchange, credentials=make_credentials(), is_testnet=False)


def test_probe_key_asks_no_exchange_whose_balances_are_public(app, venues):
    asked = len(venues.requests)
    with app.app_context():
        result = probe_key(make_request("dydx"))

    assert result.permissions == ALL_UNKNOWN
    assert len(venues.requests) == asked


def test_probe_key_returns_unknown_for_an_exchange_that_cannot_be_asked(app):
    with app.app_context():
        result = probe_key(make_request("bitmex"))

    assert result.permissions == ALL_UNKNOWN
    assert result.verdict(KeyPermission.WITHDRAW) is Verdict.UNKNOWN


def test_probe_key_is_counted_by_exchange_and_outcome(app, venues, increases):
    with app.app_context():
        probe_key(make_request("dydx"))
        for scenario in (Scenario.TRADE_ONLY, Scenario.WITHDRAW):
            fields = {name: Secret(text) for name, text in credentials("okx", scenario).items()}
            probe_key(ProbeRequest(exchange="okx", credentials=fields, is_testnet=False))

    assert increases("pipelabs_key_examinations_total") == {
        ("dydx", "withdraw_unknown"): 1,
        ("okx", "withdraw_no"): 1,
        ("okx", "withdraw_yes"): 1,
    }
