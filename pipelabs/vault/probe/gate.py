"""Read the permissions of a key from Gate's list of all keys of an account."""

from collections.abc import Set

from pipelabs.vault.probe.findings import Facts, Reading, evidence_of, items, members, whitelist
from pipelabs.vault.probe.report import Finding, KeyPermission, Verdict

_NAMES = frozenset(
    {
        "wallet",
        "spot",
        "futures",
        "delivery",
        "earn",
        "custody",
        "options",
        "account",
        "loan",
        "margin",
        "unified",
        "copy",
        "pilot",
        "otc",
        "alpha",
        "crossx",
    }
)
MIN_PREFIX = 8
"""Gate shows only the beginning of a key; a shorter prefix would not identify it."""


def gate(raw: object, api_key: str) -> Reading:
    """Read `perms` of the only key in the account's list that has the prefix of ours.

    https://www.gate.com/docs/developers/apiv4/en/, "Query All Main Account Key Information".
    Withdrawing is a separate permission (FORBIDDEN names it), but the page does not say what it is
    called in this list, so its absence proves nothing.
    """
    ours = [item for item in map(members, items(raw)) if _is_ours(item.get("key"), api_key)]
    if len(ours) != 1:
        return Reading(())
    perms = [members(item) for item in items(ours[0].get("perms"))]
    return Reading(
        (
            _permission(KeyPermission.READ, perms, _NAMES, may_write=False),
            _permission(KeyPermission.TRADE, perms, {"spot", "margin"}),
            _permission(KeyPermission.FUTURES, perms, {"futures", "delivery"}),
            _permission(KeyPermission.TRANSFER, perms, {"wallet"}),
            _permission(KeyPermission.WITHDRAW, perms, {"withdraw", "withdrawal"}),
            whitelist(ours[0], "ip_whitelist"),
        )
    )


def _permission(
    permission: KeyPermission, perms: list[Facts], names: Set[str], *, may_write: bool = True
) -> Finding:
    matching = [perm for perm in perms if str(perm.get("name")) in names]
    evidence = evidence_of({"perms": matching or perms}, "perms")
    if any(perm.get("read_only") is False or not may_write for perm in matching):
        return Finding(permission, Verdict.YES, evidence)
    is_clear = bool(perms) and all(
        isinstance(perm.get("read_only"), bool) and str(perm.get("name")) in _NAMES
        for perm in perms
    )
    verdict = Verdict.NO if is_clear and names <= _NAMES else Verdict.UNKNOWN
    return Finding(permission, verdict, evidence)


def _is_ours(masked_key: object, api_key: str) -> bool:
    prefix = masked_key.partition("*")[0] if isinstance(masked_key, str) else ""
    return len(prefix) >= MIN_PREFIX and api_key.startswith(prefix)
