import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.vault.probe.report import KeyPermission, Verdict
from pipelabs.vault.probe.rules import RULES
from tests.each import each
from tests.stub_exchange import Scenario
from tests.stub_exchange.answers import ANSWERS, bitget_unified, grant

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN


def read(slug, raw):
    reading = RULES[slug].read(raw, f"{slug}-withdraw")
    return {finding.permission: finding for finding in reading.complete()}


def answer(slug, scenario=Scenario.WITHDRAW):
    return copy.deepcopy(ANSWERS[slug][1](grant(f"{slug}-{scenario}", scenario)))


def facts(slug, raw):
    """Return the part of an answer that has the fields."""
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
    ("binance", "enableReading", [KeyPermission.READ]),
    ("binance", "enableSpotAndMarginTrading", [KeyPermission.TRADE]),
    ("binance", "enableWithdrawals", [KeyPermission.WITHDRAW]),
    ("binance", "ipRestrict", [KeyPermission.IP_BOUND]),
    (
        "bybit",
        "readOnly",
        [
            KeyPermission.READ,
            KeyPermission.TRADE,
            KeyPermission.FUTURES,
            KeyPermission.TRANSFER,
            KeyPermission.WITHDRAW,
        ],
    ),
    (
        "bybit",
        "permissions",
        [
            KeyPermission.TRADE,
            KeyPermission.FUTURES,
            KeyPermission.TRANSFER,
            KeyPermission.WITHDRAW,
        ],
    ),
    ("bybit", "ips", [KeyPermission.IP_BOUND]),
    (
        "okx",
        "perm",
        [
            KeyPermission.READ,
            KeyPermission.TRADE,
            KeyPermission.FUTURES,
            KeyPermission.TRANSFER,
            KeyPermission.WITHDRAW,
        ],
    ),
    ("okx", "ip", [KeyPermission.IP_BOUND]),
    (
        "kucoin",
        "permission",
        [KeyPermission.READ, KeyPermission.TRADE, KeyPermission.TRANSFER, KeyPermission.WITHDRAW],
    ),
    ("kucoin", "ipWhitelist", [KeyPermission.IP_BOUND]),
    ("coinbase", "can_view", [KeyPermission.READ]),
    ("coinbase", "can_trade", [KeyPermission.TRADE, KeyPermission.FUTURES]),
    ("coinbase", "can_transfer", [KeyPermission.TRANSFER, KeyPermission.WITHDRAW]),
    (
        "gate",
        "perms",
        [
            KeyPermission.READ,
            KeyPermission.TRADE,
            KeyPermission.FUTURES,
            KeyPermission.TRANSFER,
            KeyPermission.WITHDRAW,
        ],
    ),
    ("gate", "key", list(KeyPermission)),
    ("gate", "ip_whitelist", [KeyPermission.IP_BOUND]),
    ("mexc", "canWithdraw", [KeyPermission.WITHDRAW]),
    (
        "bitget",
        "authorities",
        [KeyPermission.READ, KeyPermission.TRADE, KeyPermission.TRANSFER, KeyPermission.WITHDRAW],
    ),
    ("bitget", "ips", [KeyPermission.IP_BOUND]),
]


@each(("slug", "field", "permissions"), FIELDS)
@each("odd", [..., None, "maybe", 7, 2.5, {"a": 1}, [None], [["stow"]]])
def test_rule_reads_a_missing_or_unexpected_field_as_unknown(slug, field, permissions, odd):
    raw = answer(slug)
    del facts(slug, raw)[field]
    if odd is not ...:
        facts(slug, raw)[field] = odd

    findings = read(slug, raw)

    listed = odd == "maybe" and field in ("ip", "ips", "ipWhitelist", "ip_whitelist")
    assert {findings[permission].verdict for permission in permissions} == {
        YES if listed else UNKNOWN
    }


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
def test_rule_never_raises(raw):
    for slug, rule in RULES.items():
        assert list(read(slug, raw)) == list(KeyPermission)
        for other in rule.others.values():
            assert len(other.read(raw, "").complete()) == len(KeyPermission)


@each(
    ("field", "value", "permission", "verdict"),
    [
        ("enableFutures", False, KeyPermission.FUTURES, NO),
        ("enablePortfolioMarginTrading", True, KeyPermission.FUTURES, YES),
        ("permitsUniversalTransfer", True, KeyPermission.TRANSFER, YES),
        ("enableInternalTransfer", False, KeyPermission.TRANSFER, NO),
        ("tradingAuthorityExpirationTime", 0, KeyPermission.EXPIRES, UNKNOWN),
        ("tradingAuthorityExpirationTime", 10**30, KeyPermission.EXPIRES, UNKNOWN),
        ("tradingAuthorityExpirationTime", 1_900_000_000_000, KeyPermission.EXPIRES, YES),
    ],
)
def test_binance_reads_flags(field, value, permission, verdict):
    raw = answer("binance", Scenario.READ_ONLY) | {field: value}

    assert read("binance", raw)[permission].verdict is verdict


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
def test_okx_undocumented_names_make_the_rest_unknown(perm, trade, withdraw):
    raw = answer("okx")
    raw["data"][0]["perm"] = perm

    findings = read("okx", raw)

    assert (findings[KeyPermission.TRADE].verdict, findings[KeyPermission.WITHDRAW].verdict) == (
        trade,
        withdraw,
    )


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
def test_kucoin_reads_permissions(permission, futures, transfer, withdraw):
    raw = answer("kucoin")
    raw["data"]["permission"] = permission

    findings = read("kucoin", raw)

    assert findings[KeyPermission.FUTURES].verdict is futures
    assert findings[KeyPermission.TRANSFER].verdict is transfer
    assert findings[KeyPermission.WITHDRAW].verdict is withdraw


@each(("flag", "verdict"), [(True, UNKNOWN), (False, NO), ("false", UNKNOWN)])
def test_mexc_account_proves_only_missing_permissions(flag, verdict):
    raw = answer("mexc") | {"canTrade": flag, "canWithdraw": flag}

    findings = read("mexc", raw)

    assert findings[KeyPermission.TRADE].verdict is verdict
    assert findings[KeyPermission.WITHDRAW].verdict is verdict


@each("odd", [None, "maybe", 7, {"a": 1}])
def test_mexc_answer_without_balances_proves_nothing(odd):
    raw = answer("mexc") | {"balances": odd}

    assert read("mexc", raw)[KeyPermission.READ].verdict is UNKNOWN


@each(
    ("authorities", "read_", "withdraw"),
    [
        (["stor"], YES, NO),
        (["stow", "wwow"], YES, YES),
        (["trade", "readonly"], UNKNOWN, UNKNOWN),
        (["coow"], NO, NO),
    ],
)
def test_bitget_unexplained_names_are_unknown(authorities, read_, withdraw):
    raw = answer("bitget")
    raw["data"]["authorities"] = authorities

    findings = read("bitget", raw)

    assert (findings[KeyPermission.READ].verdict, findings[KeyPermission.WITHDRAW].verdict) == (
        read_,
        withdraw,
    )


BOTH = ["uta_mgt", "uta_trade"]


@each(
    ("perm_type", "permissions", "expected"),
    [
        ("read-and-write", BOTH, "yyyyn"),
        ("read-only", BOTH, "ynnnn"),
        ("read-and-write", ["uta_mgt"], "ynnyn"),
        ("read-and-write", ["uta_trade"], "yyynn"),
        ("read-and-write", [*BOTH, "withdraw"], "yyyyy"),
        ("read-only", [*BOTH, "withdraw"], "ynnny"),
        ("read-and-write", ["uta_mgt", "copy_futures_order"], "ynyyn"),
        ("read-and-write", [*BOTH, "p2p"], "yyyyu"),
        ("read-and-write", ["trade"], "uuuuu"),
        ("read-and-write", [], "uuuuu"),
        ("read-and-write", [*BOTH, ""], "yyyyu"),
        ("read-and-write", None, "uuuuu"),
        ("readonly", BOTH, "yuuun"),
        (None, ["uta_mgt"], "ynnun"),
    ],
)
def test_bitget_unified_reads_areas_and_whether_they_may_be_written(
    perm_type, permissions, expected
):
    raw = bitget_unified(grant("bitget-unified", Scenario.UNIFIED))
    raw["data"] |= {"permType": perm_type, "permissions": permissions}

    verdicts = [finding.verdict[0] for finding in read_unified(raw)]

    assert "".join(verdicts[:5]) == expected


@each(("ips", "verdict"), [("192.168.1.1,192.168.1.2", YES), ("", NO), (None, UNKNOWN), ("*", NO)])
def test_bitget_unified_reads_the_addresses(ips, verdict):
    raw = bitget_unified(grant("bitget-unified", Scenario.UNIFIED))
    raw["data"]["ips"] = ips

    found = {finding.permission: finding.verdict for finding in read_unified(raw)}

    assert found[KeyPermission.IP_BOUND] is verdict


def read_unified(raw):
    return RULES["bitget"].others["40085"].read(raw, "").complete()


def test_binance_evidence_of_a_no_has_every_field():
    findings = read("binance", answer("binance", Scenario.READ_ONLY))

    evidence = "enableInternalTransfer=false, permitsUniversalTransfer=false"
    assert findings[KeyPermission.TRANSFER].evidence == evidence


LISTS = [
    ("okx", "perm", "trade"),
    ("kucoin", "permission", "Spot"),
    ("bitget", "authorities", "stow"),
]


@each(("slug", "field", "name"), LISTS)
@each(
    "odd",
    [
        "{0},{0}",
        "{0},",
        ",{0}",
        "{0}, ,{0}",
        "",
        ",",
        ["{0}", "{0}"],
        ["{0}", ""],
        ["{0},x"],
        [],
        [" "],
    ],
)
def test_rule_reads_an_odd_list_as_unknown_and_never_as_no(slug, field, name, odd):
    raw = answer(slug)
    value = [item.format(name) for item in odd] if isinstance(odd, list) else odd.format(name)
    facts(slug, raw)[field] = value

    assert read(slug, raw)[KeyPermission.WITHDRAW].verdict is UNKNOWN


@each(("slug", "field", "name"), LISTS)
def test_rule_believes_a_granting_name_in_an_odd_list(slug, field, name):
    granting = {"okx": "withdraw", "kucoin": "Withdrawal", "bitget": "wwow"}[slug]
    raw = answer(slug)
    facts(slug, raw)[field] = [name, name, granting, ""]

    assert read(slug, raw)[KeyPermission.WITHDRAW].verdict is YES


def test_okx_reads_several_accounts_as_unknown():
    raw = answer("okx", Scenario.TRADE_ONLY)
    raw["data"] *= 2

    assert {finding.verdict for finding in read("okx", raw).values()} == {UNKNOWN}
