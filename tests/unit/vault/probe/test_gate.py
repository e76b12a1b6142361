from pipelabs.vault.probe.gate import gate
from pipelabs.vault.probe.report import KeyPermission, Verdict
from tests.each import each

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN
API_KEY = "c5dcfbf1f3a7e58d"


def key(*perms, shown="c5dcfbf1f3a7*****", **changes):
    listed = [{"name": name, "read_only": read_only} for name, read_only in perms]
    return {"state": 1, "perms": listed, "ip_whitelist": [], "key": shown} | changes


def verdicts(*keys):
    results = gate(list(keys), API_KEY).complete()
    return {finding.permission: finding.verdict for finding in results}


@each("shown", ["c5dcfbf*****", "52fd0035f665*****", "*****", "", None, 7, "c5dcfbf1f3a7e58d0"])
def test_gate_ignores_a_key_with_another_or_a_short_prefix(shown):
    results = verdicts(key(("spot", False), shown=shown))

    assert set(results.values()) == {UNKNOWN}


def test_gate_ignores_two_keys_with_the_same_prefix():
    results = verdicts(key(("spot", False)), key(("spot", True)))

    assert set(results.values()) == {UNKNOWN}


def test_gate_finds_our_key_among_others():
    other = key(("wallet", False), shown="52fd0035f665*****")

    results = verdicts(other, key(("account", True), ("spot", False), shown=API_KEY))

    assert (results[KeyPermission.TRADE], results[KeyPermission.TRANSFER]) == (YES, NO)


@each(
    ("perms", "trade", "transfer", "withdraw"),
    [
        ([("spot", False)], YES, NO, UNKNOWN),
        ([("spot", True)], NO, NO, UNKNOWN),
        ([("wallet", False)], NO, YES, UNKNOWN),
        ([("spot", False), ("else", False)], YES, UNKNOWN, UNKNOWN),
        ([("spot", "no")], UNKNOWN, UNKNOWN, UNKNOWN),
        ([("withdraw", False)], UNKNOWN, UNKNOWN, YES),
        ([("withdraw", True)], UNKNOWN, UNKNOWN, UNKNOWN),
        ([], UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)
def test_gate_reads_a_permission_only_if_it_may_write(perms, trade, transfer, withdraw):
    results = verdicts(key(*perms))

    assert results[KeyPermission.TRADE] is trade
    assert results[KeyPermission.TRANSFER] is transfer
    assert results[KeyPermission.WITHDRAW] is withdraw


def test_gate_evidence_is_the_permission_itself():
    results = gate([key(("account", True), ("spot", False))], API_KEY).complete()

    assert results[1].evidence == 'perms=[{"name": "spot", "read_only": false}]'
