"""Read the permissions of a key from its exchange's answer; each rule cites its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pipelabs.vault.probe.bybit import bybit
from pipelabs.vault.probe.findings import (
    Reading,
    evidence_of,
    expiry,
    from_flags,
    from_list,
    items,
    members,
    whitelist,
)
from pipelabs.vault.probe.gate import gate
from pipelabs.vault.probe.report import FAMILIES, Finding, KeyPermission, Verdict

_OKX = frozenset({"read_only", "trade", "withdraw"})
_KUCOIN = frozenset(
    {
        "General",
        "Spot",
        "Margin",
        "Futures",
        "Unified",
        "LeadtradeFutures",
        "Earn",
        "InnerTransfer",
        "FlexTransfers",
        "Transfer",
        "Withdrawal",
    }
)
_BITGET_STEMS = ("coo", "cpo", "sto", "smo", "tto", "wto", "tax", "cho", "p2p", "pll")
_BITGET_UNIFIED = frozenset(
    {"uta_mgt", "uta_trade", "withdraw", "copy_futures_position", "copy_futures_order"}
)
_BITGET = frozenset({f"{stem}{mode}" for stem in _BITGET_STEMS for mode in "rw"} | {"p2p", "wwow"})


@dataclass(frozen=True, slots=True)
class Rule:
    """The method of ccxt to call, and the function that reads its answer for our API key.

    `others` has the rules for other kinds of accounts, by the error code that asks for them.
    """

    method: str
    read: Callable[[object, str], Reading]
    others: Mapping[str, "Rule"] = field(default_factory=dict)

    def of_method(self, method: object) -> "Rule":
        """Return the rule whose method was answered."""
        return next((rule for rule in self.others.values() if rule.method == method), self)


def binance(raw: object, _: str) -> Reading:
    """Read the flags of the key itself.

    https://developers.binance.com/docs/wallet/account/api-key-permission; the expiry (of the
    permission to trade) is only in Binance's client libraries, no longer on the page.
    """
    facts = members(raw)
    expires, expires_at = expiry(facts, "tradingAuthorityExpirationTime")
    findings = (
        from_flags(KeyPermission.READ, facts, "enableReading"),
        from_flags(KeyPermission.TRADE, facts, "enableSpotAndMarginTrading"),
        from_flags(KeyPermission.FUTURES, facts, "enableFutures", "enablePortfolioMarginTrading"),
        from_flags(
            KeyPermission.TRANSFER, facts, "enableInternalTransfer", "permitsUniversalTransfer"
        ),
        from_flags(KeyPermission.WITHDRAW, facts, "enableWithdrawals"),
        from_flags(KeyPermission.IP_BOUND, facts, "ipRestrict"),
        expires,
    )
    return Reading(findings, expires_at)


def okx(raw: object, _: str) -> Reading:
    """Read `perm`; the permission `trade` covers orders of every kind and transfers.

    https://www.okx.com/docs-v5/en/, "Get account configuration" and "API key permissions".
    """
    accounts = items(members(raw).get("data"))
    # Several would be the permissions of several keys.
    facts = members(accounts[0]) if len(accounts) == 1 else {}
    names = {
        KeyPermission.READ: "read_only",
        KeyPermission.TRADE: "trade",
        KeyPermission.FUTURES: "trade",
        KeyPermission.TRANSFER: "trade",
        KeyPermission.WITHDRAW: "withdraw",
    }
    findings = (
        from_list(permission, facts, "perm", {name}, _OKX) for permission, name in names.items()
    )
    return Reading((*findings, whitelist(facts, "ip")))


def kucoin(raw: object, _: str) -> Reading:
    """Read `permission`; the older name Transfer includes the permission to withdraw.

    https://www.kucoin.com/docs-new/introduction, "api-permission", the example of Get Apikey
    Info in KuCoin's client libraries, and https://kucoin.com/support/900006465403 for Transfer.
    """
    facts = members(members(raw).get("data"))
    names = {
        KeyPermission.READ: {"General"},
        KeyPermission.TRADE: {"Spot", "Margin", "Unified"},
        KeyPermission.FUTURES: {"Futures", "Unified", "LeadtradeFutures"},
        KeyPermission.TRANSFER: {"InnerTransfer", "FlexTransfers", "Transfer"},
        KeyPermission.WITHDRAW: {"Withdrawal", "Transfer"},
    }
    findings = (
        from_list(permission, facts, "permission", name, _KUCOIN)
        for permission, name in names.items()
    )
    return Reading((*findings, whitelist(facts, "ipWhitelist")))


def coinbase(raw: object, _: str) -> Reading:
    """Read three flags; trade includes futures orders, transfer includes withdrawals.

    https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/data-api/
    get-api-key-permissions, and …/coinbase-app/advanced-trade-apis/rest-scopes.
    """
    facts = members(raw)
    findings = (
        from_flags(KeyPermission.READ, facts, "can_view"),
        from_flags(KeyPermission.TRADE, facts, "can_trade"),
        from_flags(KeyPermission.FUTURES, facts, "can_trade"),
        from_flags(KeyPermission.TRANSFER, facts, "can_transfer"),
        from_flags(KeyPermission.WITHDRAW, facts, "can_transfer"),
    )
    return Reading(findings)


def mexc(raw: object, _: str) -> Reading:
    """Read the permissions of the account: its keys can't do what the account can't.

    https://www.mexc.com/api-docs/spot-v3/, "Account Information". MEXC does not report the
    permissions of a key, so a true flag proves nothing. The answer proves that the key may read.
    """
    facts = members(raw)
    is_account = isinstance(facts.get("balances"), list)
    findings = (
        Finding(
            KeyPermission.READ,
            Verdict.YES if is_account else Verdict.UNKNOWN,
            evidence_of(facts, "accountType"),
        ),
        _only_no(from_flags(KeyPermission.TRADE, facts, "canTrade")),
        _only_no(from_flags(KeyPermission.WITHDRAW, facts, "canWithdraw")),
    )
    return Reading(findings)


def _only_no(finding: Finding) -> Finding:
    return replace(finding, verdict=Verdict.UNKNOWN) if finding.verdict is Verdict.YES else finding


def bitget(raw: object, _: str) -> Reading:
    """Read `authorities`: four letters, the last of which is r or w.

    https://www.bitget.com/api-doc/spot/account/Get-Account-Info. Its example has two more names,
    `trade` and `readonly`, which its table does not explain: they are unknown.
    """
    facts = members(members(raw).get("data"))
    names = {
        KeyPermission.READ: {"stor", "stow"},
        KeyPermission.TRADE: {"stow", "smow"},
        KeyPermission.FUTURES: {"coow"},
        KeyPermission.TRANSFER: {"wtow"},
        KeyPermission.WITHDRAW: {"wwow"},
    }
    findings = (
        from_list(permission, facts, "authorities", name, _BITGET)
        for permission, name in names.items()
    )
    return Reading((*findings, whitelist(facts, "ips")))


def bitget_unified(raw: object, _: str) -> Reading:
    """Read `permissions` of a unified account: two areas, which `permType` opens for writing.

    https://www.bitget.com/api-doc/uta/account/Get-Account-Info, and the permissions that
    …/uta/account/transfer and …/uta/trade/Place-Order need. `withdraw` counts as yes in any type.
    """
    facts = members(members(raw).get("data"))
    findings = (
        from_list(
            KeyPermission.READ, facts, "permissions", {"uta_mgt", "uta_trade"}, _BITGET_UNIFIED
        ),
        *(
            _needs_writing(
                from_list(permission, facts, "permissions", names, _BITGET_UNIFIED), facts
            )
            for permission, names in {
                KeyPermission.TRADE: {"uta_trade"},
                KeyPermission.FUTURES: {"uta_trade", "copy_futures_order"},
                KeyPermission.TRANSFER: {"uta_mgt"},
            }.items()
        ),
        from_list(KeyPermission.WITHDRAW, facts, "permissions", {"withdraw"}, _BITGET_UNIFIED),
    )
    return Reading((*findings, whitelist(facts, "ips")))


def _needs_writing(finding: Finding, facts: Mapping[str, object]) -> Finding:
    """Return the finding of a permission that only a key of the type `read-and-write` has."""
    evidence = evidence_of(facts, "permType")
    match facts.get("permType"):
        case "read-and-write":
            return finding
        case "read-only":
            return Finding(finding.permission, Verdict.NO, evidence)
    is_no = finding.verdict is Verdict.NO
    return finding if is_no else Finding(finding.permission, Verdict.UNKNOWN, evidence)


def balance(_raw: object, _: str) -> Reading:
    """Conclude that the key may read, because it could read a balance; the rest is unknown."""
    return Reading((Finding(KeyPermission.READ, Verdict.YES, "a balance was returned"),))


RULES = {
    "binance": Rule("sapi_get_account_apirestrictions", binance),
    "bybit": Rule("private_get_v5_user_query_api", bybit),
    "okx": Rule("private_get_account_config", okx),
    "kucoin": Rule("private_get_user_api_key", kucoin),
    "coinbase": Rule("v3_private_get_brokerage_key_permissions", coinbase),
    "gate": Rule("private_account_get_main_keys", gate),
    "mexc": Rule("spot_private_get_account", mexc),
    "bitget": Rule(
        "private_spot_get_v2_spot_account_info",
        bitget,
        # "You are in Unified Account mode", which all accounts since May 2026 are
        {"40085": Rule("private_uta_get_v3_account_info", bitget_unified)},
    ),
}
"""By ccxt's id."""
BALANCE_RULE = Rule("", balance)
PUBLIC_BALANCES = frozenset({"dydx", "hyperliquid", "lighter", "nado", "pacifica"})
"""Exchanges where any balance is public, so an answer proves nothing about a key."""
NO_RULE_ON_TESTNET = {"binance"}
"""Exchanges whose testnet lacks the endpoint: https://testnet.binance.vision has no /sapi."""


def rule_for(ccxt_id: str, *, is_testnet: bool) -> Rule:
    """Return the rule for an exchange."""
    if is_testnet and ccxt_id in NO_RULE_ON_TESTNET:
        return BALANCE_RULE
    return RULES.get(FAMILIES.get(ccxt_id, ccxt_id), BALANCE_RULE)
