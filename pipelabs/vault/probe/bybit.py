"""Read a key's rights from Bybit's lists of permissions."""

from pipelabs.vault.probe.findings import (
    Facts,
    Reading,
    either,
    expiry,
    listed,
    members,
    shown,
    whitelist,
)
from pipelabs.vault.probe.report import Finding, KeyPermission, Verdict

_WALLET = frozenset({"AccountTransfer", "SubMemberTransfer", "Withdraw"})


def bybit(raw: object, _: str) -> Reading:
    """Read the lists of permissions, which `readOnly` = 1 overrules.

    https://bybit-exchange.github.io/docs/v5/user/apikey-info; `*` for every address stands in
    …/v5/user/list-sub-apikeys.
    """
    facts = members(members(raw).get("result"))
    expires, expires_at = expiry(facts, "expiredAt")
    evidence = shown(facts, "readOnly")
    match facts.get("readOnly"):
        case int(mode) if mode in (0, 1) and not isinstance(mode, bool):
            writes = _writes(members(facts.get("permissions")))
            if mode == 1:
                writes = tuple(Finding(one.permission, Verdict.NO, evidence) for one in writes)
            found = (Finding(KeyPermission.READ, Verdict.YES, evidence), *writes)
        case _:
            found = (Finding(KeyPermission.READ, Verdict.UNKNOWN, evidence),)
    return Reading((*found, whitelist(facts, "ips"), expires), expires_at)


def _writes(allowed: Facts) -> tuple[Finding, ...]:
    """Unified accounts have DerivativesTrade "by default", so alone it proves nothing."""
    moves = {"AccountTransfer", "SubMemberTransfer"}
    return (
        listed(KeyPermission.TRADE, allowed, "Spot", {"SpotTrade"}),
        either(
            (
                listed(
                    KeyPermission.FUTURES,
                    allowed,
                    "ContractTrade",
                    {"Order"},
                    frozenset({"Position"}),
                ),
                listed(KeyPermission.FUTURES, allowed, "Options", {"OptionsTrade"}),
                listed(KeyPermission.FUTURES, allowed, "Derivatives", set()),
            )
        ),
        listed(KeyPermission.TRANSFER, allowed, "Wallet", moves, _WALLET),
        listed(
            KeyPermission.WITHDRAW,
            allowed,
            "Wallet",
            {"Withdraw"},
            _WALLET | {"SubMemberTransferList"},
        ),
    )
