"""Read the permissions of a key from Bybit's lists."""

from pipelabs.vault.probe.findings import (
    Facts,
    Reading,
    either,
    evidence_of,
    expiry,
    from_list,
    members,
    whitelist,
)
from pipelabs.vault.probe.report import Finding, KeyPermission, Verdict

_WALLET = frozenset({"AccountTransfer", "SubMemberTransfer", "Withdraw"})


def bybit(raw: object, _: str) -> Reading:
    """Read the lists of permissions; `readOnly` = 1 overrides them.

    https://bybit-exchange.github.io/docs/v5/user/apikey-info; `*` for any address is documented in
    …/v5/user/list-sub-apikeys.
    """
    facts = members(members(raw).get("result"))
    expires, expires_at = expiry(facts, "expiredAt")
    evidence = evidence_of(facts, "readOnly")
    match facts.get("readOnly"):
        case int(mode) if mode in (0, 1) and not isinstance(mode, bool):
            allowed = members(facts.get("permissions"))
            # A key has some permission. Without any the answer is not complete.
            writes = _writes(allowed if any(allowed.values()) else {})
            if mode == 1:
                writes = tuple(
                    Finding(finding.permission, Verdict.NO, evidence) for finding in writes
                )
            findings = (Finding(KeyPermission.READ, Verdict.YES, evidence), *writes)
        case _:
            findings = (Finding(KeyPermission.READ, Verdict.UNKNOWN, evidence),)
    return Reading((*findings, whitelist(facts, "ips"), expires), expires_at)


def _writes(allowed: Facts) -> tuple[Finding, ...]:
    """Return the findings of permissions that write. An empty list is one without permissions.

    Unified accounts have DerivativesTrade "by default", so it proves nothing by itself.
    """

    def read(
        permission: KeyPermission,
        field: str,
        granting: set[str],
        known: frozenset[str] = frozenset(),
    ) -> Finding:
        return from_list(permission, allowed, field, granting, known, may_be_empty=True)

    futures = KeyPermission.FUTURES
    return (
        read(KeyPermission.TRADE, "Spot", {"SpotTrade"}),
        either(
            (
                read(futures, "ContractTrade", {"Order"}, frozenset({"Position"})),
                read(futures, "Options", {"OptionsTrade"}),
                read(futures, "Derivatives", set()),
            )
        ),
        read(KeyPermission.TRANSFER, "Wallet", {"AccountTransfer", "SubMemberTransfer"}, _WALLET),
        read(KeyPermission.WITHDRAW, "Wallet", {"Withdraw"}, _WALLET | {"SubMemberTransferList"}),
    )
