from pipelabs.vault.probe.gate import gate
from pipelabs.vault.probe.report import KeyPermission, Verdict
from tests.each import each

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN
API_KEY = "c5dcfbf1f3a7e58d"


def key(*perms, shown="c5dcfbf1f3a7*****", **changes):
    listed = [{"name": name, "read_only": read_only} for name, read_only in perms]
    return {"state": 1, "perms": listed, "ip_whitelist": [], "key": shown} | changes


def verdicts(*keys):
    found = gate(list(keys), API_KEY).complete()
    return {one.permission: one.verdict for one in found}


@each("shown", ["c5dcfbf*****", "52fd0035f665*****", "*****", "", None, 7, "c5dcfbf1f3a7e58d0"])
def test_a_key_that_is_not_surely_ours_tells_nothing(shown):
    found = verdicts(key(("spot", False), shown=shown))

    assert set(found.values()) == {UNKNOWN}


def test_two_keys_that_begin_alike_tell_nothing():
    found = verdicts(key(("spot", False)), key(("spot", True)))

    assert set(found.values()) == {UNKNOWN}


def test_ours_is_found_among_others():
    other = key(("wallet", False), shown="52fd0035f665*****")

    found = verdicts(other, key(("account", True), ("spot", False), shown=API_KEY))

    assert (found[KeyPermission.TRADE], found[KeyPermission.TRANSFER]) == (YES, NO)


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
def test_only_what_may_write_is_a_right(perms, trade, transfer, withdraw):
    found = verdicts(key(*perms))

    assert found[KeyPermission.TRADE] is trade
    assert found[KeyPermission.TRANSFER] is transfer
    assert found[KeyPermission.WITHDRAW] is withdraw


def test_the_evidence_is_the_permission_itself():
    found = gate([key(("account", True), ("spot", False))], API_KEY).complete()

    assert found[1].evidence == 'perms=[{"name": "spot", "read_only": false}]'
