"""Read a key's rights from what its exchange answers; each rule names the page that it follows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelabs.vault.probe.bybit import bybit
from pipelabs.vault.probe.findings import (
    Reading,
    expiry,
    flags,
    items,
    listed,
    members,
    shown,
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
_BITGET = frozenset({f"{stem}{mode}" for stem in _BITGET_STEMS for mode in "rw"} | {"p2p", "wwow"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Which of ccxt's methods asks, and who reads its answer and tells our key from others."""

    method: str
    read: Callable[[object, str], Reading]


def binance(raw: object, _: str) -> Reading:
    """Read the flags of the key itself.

    https://developers.binance.com/docs/wallet/account/api-key-permission; the expiry (of the
    right to trade) is of Binance's own client libraries, the page has dropped it.
    """
    facts = members(raw)
    expires, expires_at = expiry(facts, "tradingAuthorityExpirationTime")
    found = (
        flags(KeyPermission.READ, facts, "enableReading"),
        flags(KeyPermission.TRADE, facts, "enableSpotAndMarginTrading"),
        flags(KeyPermission.FUTURES, facts, "enableFutures", "enablePortfolioMarginTrading"),
        flags(KeyPermission.TRANSFER, facts, "enableInternalTransfer", "permitsUniversalTransfer"),
        flags(KeyPermission.WITHDRAW, facts, "enableWithdrawals"),
        flags(KeyPermission.IP_BOUND, facts, "ipRestrict"),
        expires,
    )
    return Reading(found, expires_at)


def okx(raw: object, _: str) -> Reading:
    """Read `perm`; one right, trade, is for orders of every kind and for transfers.

    https://www.okx.com/docs-v5/en/, "Get account configuration" and "API key permissions".
    """
    facts = members(next(iter(items(members(raw).get("data"))), None))
    wanted = {
        KeyPermission.READ: "read_only",
        KeyPermission.TRADE: "trade",
        KeyPermission.FUTURES: "trade",
        KeyPermission.TRANSFER: "trade",
        KeyPermission.WITHDRAW: "withdraw",
    }
    found = (listed(permission, facts, "perm", {name}, _OKX) for permission, name in wanted.items())
    return Reading((*found, whitelist(facts, "ip")))


def kucoin(raw: object, _: str) -> Reading:
    """Read `permission`; the older name Transfer is the right to withdraw as well.

    https://www.kucoin.com/docs-new/introduction, "api-permission", the example of Get Apikey
    Info in KuCoin's client libraries, and https://kucoin.com/support/900006465403 for Transfer.
    """
    facts = members(members(raw).get("data"))
    wanted = {
        KeyPermission.READ: {"General"},
        KeyPermission.TRADE: {"Spot", "Margin", "Unified"},
        KeyPermission.FUTURES: {"Futures", "Unified", "LeadtradeFutures"},
        KeyPermission.TRANSFER: {"InnerTransfer", "FlexTransfers", "Transfer"},
        KeyPermission.WITHDRAW: {"Withdrawal", "Transfer"},
    }
    found = (
        listed(permission, facts, "permission", name, _KUCOIN)
        for permission, name in wanted.items()
    )
    return Reading((*found, whitelist(facts, "ipWhitelist")))


def coinbase(raw: object, _: str) -> Reading:
    """Read three flags; trade is the scope for futures orders, transfer that of both movements.

    https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/data-api/
    get-api-key-permissions, and …/coinbase-app/advanced-trade-apis/rest-scopes.
    """
    facts = members(raw)
    found = (
        flags(KeyPermission.READ, facts, "can_view"),
        flags(KeyPermission.TRADE, facts, "can_trade"),
        flags(KeyPermission.FUTURES, facts, "can_trade"),
        flags(KeyPermission.TRANSFER, facts, "can_transfer"),
        flags(KeyPermission.WITHDRAW, facts, "can_transfer"),
    )
    return Reading(found)


def mexc(raw: object, _: str) -> Reading:
    """Read what the account may do: what it may not, its keys may not either.

    https://www.mexc.com/api-docs/spot-v3/, "Account Information". MEXC does not tell the rights
    of a key, so a true flag proves nothing; the answer itself proves that the key may read.
    """
    facts = members(raw)
    is_account = isinstance(facts.get("balances"), list)
    found = (
        Finding(
            KeyPermission.READ,
            Verdict.YES if is_account else Verdict.UNKNOWN,
            shown(facts, "accountType"),
        ),
        _at_most(flags(KeyPermission.TRADE, facts, "canTrade")),
        _at_most(flags(KeyPermission.WITHDRAW, facts, "canWithdraw")),
    )
    return Reading(found)


def _at_most(one: Finding) -> Finding:
    return replace(one, verdict=Verdict.UNKNOWN) if one.verdict is Verdict.YES else one


def bitget(raw: object, _: str) -> Reading:
    """Read `authorities`: four letters, the last of which is r or w.

    https://www.bitget.com/api-doc/spot/account/Get-Account-Info. Its example has two other
    names, `trade` and `readonly`, which its table does not explain: they are unknown.
    """
    facts = members(members(raw).get("data"))
    wanted = {
        KeyPermission.READ: {"stor", "stow"},
        KeyPermission.TRADE: {"stow", "smow"},
        KeyPermission.FUTURES: {"coow"},
        KeyPermission.TRANSFER: {"wtow"},
        KeyPermission.WITHDRAW: {"wwow"},
    }
    found = (
        listed(permission, facts, "authorities", name, _BITGET)
        for permission, name in wanted.items()
    )
    return Reading((*found, whitelist(facts, "ips")))


def elsewhere(_raw: object, _: str) -> Reading:
    """Find that a key may read, for its balance could be read; no more is known."""
    return Reading((Finding(KeyPermission.READ, Verdict.YES, "a balance was answered"),))


RULES = {
    "binance": Rule("sapi_get_account_apirestrictions", binance),
    "bybit": Rule("private_get_v5_user_query_api", bybit),
    "okx": Rule("private_get_account_config", okx),
    "kucoin": Rule("private_get_user_api_key", kucoin),
    "coinbase": Rule("v3_private_get_brokerage_key_permissions", coinbase),
    "gate": Rule("private_account_get_main_keys", gate),
    "mexc": Rule("spot_private_get_account", mexc),
    "bitget": Rule("private_spot_get_v2_spot_account_info", bitget),
}
"""By ccxt's id."""
ELSEWHERE = Rule("", elsewhere)
PUBLIC_BALANCES = frozenset({"dydx", "hyperliquid", "lighter", "nado", "pacifica"})
"""Who tell anybody the balance of any wallet, so that an answer proves nothing of a key."""
WITHOUT_ON_TESTNET = {"binance"}
"""Whose testnet lacks the endpoint: https://testnet.binance.vision has /api alone, no /sapi."""


def rule_for(ccxt_id: str, *, is_testnet: bool) -> Rule:
    """Return how an exchange is asked."""
    if is_testnet and ccxt_id in WITHOUT_ON_TESTNET:
        return ELSEWHERE
    return RULES.get(FAMILIES.get(ccxt_id, ccxt_id), ELSEWHERE)
