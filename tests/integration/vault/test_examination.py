from pipelabs.vault.examination import NOBODY_SAYS, ask
from pipelabs.vault.probe import KeyPermission, Verdict
from tests.factories import make_credentials


def test_a_balance_that_anybody_can_read_proves_nothing(app, venues):
    asked = len(venues.requests)
    with app.app_context():
        said = ask("hyperliquid", make_credentials(), is_testnet=False)

    assert said.permissions == NOBODY_SAYS
    assert len(venues.requests) == asked


def test_where_nobody_can_ask_every_right_is_unknown(app):
    with app.app_context():
        said = ask("bitmex", make_credentials(), is_testnet=False)

    assert said.permissions == NOBODY_SAYS
    assert said.verdict(KeyPermission.WITHDRAW) is Verdict.UNKNOWN
