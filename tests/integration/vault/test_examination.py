from pipelabs.vault.examination import ALL_UNKNOWN, probe_key
from pipelabs.vault.probe import KeyPermission, Verdict
from tests.factories import make_credentials


def test_a_balance_that_anybody_can_read_proves_nothing(app, venues):
    asked = len(venues.requests)
    with app.app_context():
        result = probe_key("hyperliquid", make_credentials(), is_testnet=False)

    assert result.permissions == ALL_UNKNOWN
    assert len(venues.requests) == asked


def test_where_nobody_can_ask_every_right_is_unknown(app):
    with app.app_context():
        result = probe_key("bitmex", make_credentials(), is_testnet=False)

    assert result.permissions == ALL_UNKNOWN
    assert result.verdict(KeyPermission.WITHDRAW) is Verdict.UNKNOWN
