import copy

from pipelabs.vault.probe.bybit import bybit
from pipelabs.vault.probe.report import KeyPermission, Verdict
from tests.each import each
from tests.stub_exchange import Scenario
from tests.stub_exchange.answers import ANSWERS, grant

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN


def read(raw):
    return {finding.permission: finding for finding in bybit(raw, "").complete()}


def answer():
    return copy.deepcopy(ANSWERS["bybit"][1](grant("bybit-withdraw", Scenario.WITHDRAW)))


@each(
    ("changes", "verdict"),
    [
        ({"ContractTrade": ["Order"]}, YES),
        ({"ContractTrade": ["Position"]}, UNKNOWN),
        ({"ContractTrade": [], "Options": ["OptionsTrade"]}, YES),
        ({"ContractTrade": [], "Derivatives": ["DerivativesTrade"]}, UNKNOWN),
        ({"ContractTrade": [], "Derivatives": []}, NO),
        ({"ContractTrade": ["Position"], "Derivatives": []}, NO),
        ({"ContractTrade": ["Else"], "Derivatives": []}, UNKNOWN),
    ],
)
def test_bybit_ignores_derivatives_that_every_unified_key_has(changes, verdict):
    raw = answer()
    raw["result"]["permissions"] |= changes

    assert read(raw)[KeyPermission.FUTURES].verdict is verdict


@each(
    ("wallet", "transfer", "withdraw"),
    [
        ([], NO, NO),
        (["AccountTransfer"], YES, NO),
        (["SubMemberTransferList"], UNKNOWN, NO),
        (["Withdraw"], NO, YES),
        (["Withdraw", "Else"], UNKNOWN, YES),
        (["Else"], UNKNOWN, UNKNOWN),
    ],
)
def test_bybit_reads_the_wallet_permissions(wallet, transfer, withdraw):
    raw = answer()
    raw["result"]["permissions"]["Wallet"] = wallet

    findings = read(raw)

    assert findings[KeyPermission.TRANSFER].verdict is transfer
    assert findings[KeyPermission.WITHDRAW].verdict is withdraw


def test_bybit_read_only_overrides_the_lists():
    raw = answer()
    raw["result"]["readOnly"] = 1

    findings = read(raw)

    assert (
        findings[KeyPermission.WITHDRAW].verdict,
        findings[KeyPermission.WITHDRAW].evidence,
    ) == (
        NO,
        "readOnly=1",
    )


def test_bybit_does_not_accept_a_boolean_for_read_only():
    raw = answer()
    raw["result"]["readOnly"] = True

    assert read(raw)[KeyPermission.TRADE].verdict is UNKNOWN


@each(
    ("ips", "verdict"),
    [(["10.0.0.1"], YES), (["*"], NO), ([], NO), (["10.0.0.1", "*"], NO), ([1], UNKNOWN)],
)
def test_bybit_reads_a_star_as_any_address(ips, verdict):
    raw = answer()
    raw["result"]["ips"] = ips

    assert read(raw)[KeyPermission.IP_BOUND].verdict is verdict


@each(
    ("value", "verdict"),
    [
        ("2031-05-15T03:21:05Z", YES),
        ("2031-05-15T03:21:05", YES),
        ("1970-01-01T00:00:00Z", UNKNOWN),
        ("9999-12-31T23:59:59-23:59", UNKNOWN),
        ("0001-01-01T00:00:00+23:59", UNKNOWN),
        ("", UNKNOWN),
        (True, UNKNOWN),
    ],
)
def test_bybit_reads_an_expiry_without_a_date_as_unknown(value, verdict):
    raw = answer()
    raw["result"]["expiredAt"] = value

    reading = bybit(raw, "")

    assert reading.complete()[-1].verdict is verdict
    assert (reading.expires_at is not None) is (verdict is YES)


@each(
    "odd",
    [["Withdrawal,AccountTransfer"], ["AccountTransfer"] * 2, [""], [" ", "AccountTransfer"]],
)
def test_bybit_reads_an_odd_list_as_unknown(odd):
    raw = answer()
    raw["result"]["permissions"]["Wallet"] = odd

    assert read(raw)[KeyPermission.WITHDRAW].verdict is UNKNOWN


def test_bybit_reads_lists_that_are_all_empty_as_unknown():
    raw = answer()
    raw["result"]["permissions"] = {name: [] for name in raw["result"]["permissions"]}

    assert read(raw)[KeyPermission.WITHDRAW].verdict is UNKNOWN


def test_bybit_reads_one_empty_list_as_no():
    raw = answer()
    raw["result"]["permissions"]["Wallet"] = []

    assert read(raw)[KeyPermission.WITHDRAW].verdict is NO
