import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.xray.report import Right, Verdict
from pipelabs.xray.rights import RULES
from tests.each import each
from tests.stub_exchange import Scenario
from tests.stub_exchange.answers import ANSWERS, grant

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN


def read(slug, raw):
    reading = RULES[slug].read(raw, f"{slug}-withdraw")
    return {one.right: one for one in reading.complete()}


def answer(slug, scenario=Scenario.WITHDRAW):
    return copy.deepcopy(ANSWERS[slug][1](grant(f"{slug}-{scenario}", scenario)))


def facts(slug, raw):
    """Return the part of an answer where its fields are."""
    match slug:
        case "bybit":
            return raw["result"]
        case "okx":
            return raw["data"][0]
        case "kucoin" | "bitget":
            return raw["data"]
        case "gate":
            return raw[1]
        case _:
            return raw


FIELDS = [
    ("binance", "enableReading", [Right.READ]),
    ("binance", "enableSpotAndMarginTrading", [Right.TRADE]),
    ("binance", "enableWithdrawals", [Right.WITHDRAW]),
    ("binance", "ipRestrict", [Right.IP_BOUND]),
    ("bybit", "readOnly", [Right.READ, Right.TRADE, Right.FUTURES, Right.TRANSFER, Right.WITHDRAW]),
    ("bybit", "permissions", [Right.TRADE, Right.FUTURES, Right.TRANSFER, Right.WITHDRAW]),
    ("bybit", "ips", [Right.IP_BOUND]),
    ("okx", "perm", [Right.READ, Right.TRADE, Right.FUTURES, Right.TRANSFER, Right.WITHDRAW]),
    ("okx", "ip", [Right.IP_BOUND]),
    ("kucoin", "permission", [Right.READ, Right.TRADE, Right.TRANSFER, Right.WITHDRAW]),
    ("kucoin", "ipWhitelist", [Right.IP_BOUND]),
    ("coinbase", "can_view", [Right.READ]),
    ("coinbase", "can_trade", [Right.TRADE, Right.FUTURES]),
    ("coinbase", "can_transfer", [Right.TRANSFER, Right.WITHDRAW]),
    ("gate", "perms", [Right.READ, Right.TRADE, Right.FUTURES, Right.TRANSFER, Right.WITHDRAW]),
    ("gate", "key", list(Right)),
    ("gate", "ip_whitelist", [Right.IP_BOUND]),
    ("mexc", "canWithdraw", [Right.WITHDRAW]),
    ("bitget", "authorities", [Right.READ, Right.TRADE, Right.TRANSFER, Right.WITHDRAW]),
    ("bitget", "ips", [Right.IP_BOUND]),
]


@each(("slug", "field", "rights"), FIELDS)
@each("odd", [..., None, "maybe", 7, 2.5, {"a": 1}, [None], [["stow"]]])
def test_a_field_that_is_missing_or_odd_is_unknown(slug, field, rights, odd):
    raw = answer(slug)
    del facts(slug, raw)[field]
    if odd is not ...:
        facts(slug, raw)[field] = odd

    found = read(slug, raw)

    listed = odd == "maybe" and field in ("ip", "ips", "ipWhitelist", "ip_whitelist")
    assert {found[right].verdict for right in rights} == {YES if listed else UNKNOWN}


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "result", "permissions", "perms", "name", "key", "perm", "ips"]
                ),
                inner,
            )
        ),
    )
)
def test_no_answer_however_odd_breaks_a_rule(raw):
    for slug in RULES:
        assert list(read(slug, raw)) == list(Right)


@each(
    ("field", "value", "right", "verdict"),
    [
        ("enableFutures", False, Right.FUTURES, NO),
        ("enablePortfolioMarginTrading", True, Right.FUTURES, YES),
        ("permitsUniversalTransfer", True, Right.TRANSFER, YES),
        ("enableInternalTransfer", False, Right.TRANSFER, NO),
        ("tradingAuthorityExpirationTime", 0, Right.EXPIRES, UNKNOWN),
        ("tradingAuthorityExpirationTime", 10**30, Right.EXPIRES, UNKNOWN),
        ("tradingAuthorityExpirationTime", 1_900_000_000_000, Right.EXPIRES, YES),
    ],
)
def test_a_flag_of_binance(field, value, right, verdict):
    raw = answer("binance", Scenario.READ_ONLY) | {field: value}

    assert read("binance", raw)[right].verdict is verdict


@each(
    ("perm", "trade", "withdraw"),
    [
        ("read_only", NO, NO),
        ("read_only,withdraw", NO, YES),
        ("read_only, trade", YES, NO),
        ("read_only,withdraw_internal", UNKNOWN, UNKNOWN),
        ("", UNKNOWN, UNKNOWN),
    ],
)
def test_a_name_that_okx_does_not_document_leaves_the_rest_unknown(perm, trade, withdraw):
    raw = answer("okx")
    raw["data"][0]["perm"] = perm

    found = read("okx", raw)

    assert (found[Right.TRADE].verdict, found[Right.WITHDRAW].verdict) == (trade, withdraw)


@each(
    ("permission", "futures", "transfer", "withdraw"),
    [
        ("General", NO, NO, NO),
        ("General,Unified", YES, NO, NO),
        ("General,InnerTransfer", NO, YES, NO),
        ("General,Transfer", NO, YES, YES),
        ("General,Withdrawal", NO, NO, YES),
        ("General,Else", UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)
def test_a_permission_of_kucoin(permission, futures, transfer, withdraw):
    raw = answer("kucoin")
    raw["data"]["permission"] = permission

    found = read("kucoin", raw)

    assert found[Right.FUTURES].verdict is futures
    assert found[Right.TRANSFER].verdict is transfer
    assert found[Right.WITHDRAW].verdict is withdraw


@each(("flag", "verdict"), [(True, UNKNOWN), (False, NO), ("false", UNKNOWN)])
def test_an_account_of_mexc_proves_only_what_its_keys_cannot_do(flag, verdict):
    raw = answer("mexc") | {"canTrade": flag, "canWithdraw": flag}

    found = read("mexc", raw)

    assert found[Right.TRADE].verdict is verdict
    assert found[Right.WITHDRAW].verdict is verdict


@each("odd", [None, "maybe", 7, {"a": 1}])
def test_an_answer_of_mexc_without_balances_is_no_account(odd):
    raw = answer("mexc") | {"balances": odd}

    assert read("mexc", raw)[Right.READ].verdict is UNKNOWN


@each(
    ("authorities", "read_", "withdraw"),
    [
        (["stor"], YES, NO),
        (["stow", "wwow"], YES, YES),
        (["trade", "readonly"], UNKNOWN, UNKNOWN),
        (["coow"], NO, NO),
    ],
)
def test_bitgets_unexplained_names_are_unknown(authorities, read_, withdraw):
    raw = answer("bitget")
    raw["data"]["authorities"] = authorities

    found = read("bitget", raw)

    assert (found[Right.READ].verdict, found[Right.WITHDRAW].verdict) == (read_, withdraw)


def test_the_evidence_of_a_no_names_every_field_that_it_stands_on():
    found = read("binance", answer("binance", Scenario.READ_ONLY))

    evidence = "enableInternalTransfer=false, permitsUniversalTransfer=false"
    assert found[Right.TRANSFER].evidence == evidence
