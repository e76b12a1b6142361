"""Read a key's rights from Gate's list of all keys of an account."""

from collections.abc import Set

from pipelabs.vault.probe.findings import Facts, Reading, items, members, shown, whitelist
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
SHOWN = 8
"""Gate shows only a key's beginning; fewer characters of it would not tell whose it is."""


def gate(raw: object, api_key: str) -> Reading:
    """Read `perms` of the one key in the account's list that begins as ours does.

    https://www.gate.com/docs/developers/apiv4/en/, "Query All Main Account Key Information".
    Withdrawing is a permission of its own (FORBIDDEN names it), but the page has no name for it
    in this list, so that its absence proves nothing.
    """
    ours = [one for one in map(members, items(raw)) if _is_ours(one.get("key"), api_key)]
    if len(ours) != 1:
        return Reading(())
    perms = [members(one) for one in items(ours[0].get("perms"))]
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
    permission: KeyPermission, perms: list[Facts], wanted: Set[str], *, may_write: bool = True
) -> Finding:
    mine = [one for one in perms if str(one.get("name")) in wanted]
    evidence = shown({"perms": mine or perms}, "perms")
    if any(one.get("read_only") is False or not may_write for one in mine):
        return Finding(permission, Verdict.YES, evidence)
    is_clear = bool(perms) and all(
        isinstance(one.get("read_only"), bool) and str(one.get("name")) in _NAMES for one in perms
    )
    verdict = Verdict.NO if is_clear and wanted <= _NAMES else Verdict.UNKNOWN
    return Finding(permission, verdict, evidence)


def _is_ours(shown_key: object, api_key: str) -> bool:
    start = shown_key.partition("*")[0] if isinstance(shown_key, str) else ""
    return len(start) >= SHOWN and api_key.startswith(start)
