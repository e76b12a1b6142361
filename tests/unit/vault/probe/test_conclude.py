import ccxt
import pytest

from pipelabs.vault import probe
from pipelabs.vault.probe.report import Failure, Verdict
from tests.stub_exchange import Scenario, credentials


@pytest.mark.parametrize("place", ["perm", "ip"])
def test_evidence_that_repeats_a_credential_is_left_out(target, place):
    named = credentials("okx", Scenario.TRADE_ONLY)
    padded = "x" * 190 + named["api_secret"]
    raw = {"data": [{"perm": "read_only", "ip": "10.0.0.1"} | {place: padded}]}

    report = probe.conclude(target("okx"), named, {"raw": raw}, ms=0)

    assert not any(named["api_secret"][:6] in str(one.evidence) for one in report.findings)


def test_evidence_is_short_and_printable(target):
    raw = {"data": [{"perm": "trade,\n\u202e" + "x" * 300}]}

    report = probe.conclude(target("okx"), {}, {"raw": raw}, ms=0)

    assert report.findings[1].evidence == ("perm=trade,\\n\\u202e" + "x" * 300)[:200]


@pytest.mark.parametrize("code", ["Invalid key: abc", "x" * 33, "", "okx-trade-only"])
def test_an_error_code_that_is_text_or_a_credential_is_no_detail(target, code):
    named = {"api_key": "okx-trade-only"}

    report = probe.conclude(target("okx"), named, {"error": {"code": code, "has_sent": True}}, ms=0)

    assert report.detail is None


@pytest.mark.parametrize("answer", [{}, {"error": "nonsense"}, {"error": {"kinds": 1}}, {"a": 1}])
def test_an_answer_of_another_form_is_a_failure(target, answer):
    report = probe.conclude(target("okx"), {}, answer, ms=0)

    assert report.failure is Failure.OTHER
    assert {one.verdict for one in report.findings} == {Verdict.UNKNOWN}


def test_any_other_credential_is_sent_as_it_is(target):
    named = {"api_key": " k", "passphrase": "back\\nslash"}

    question = probe.question(target("okx"), named, 1)

    assert question["credentials"] == {"apiKey": " k", "password": "back\\nslash"}


def test_all_fields_have_the_names_that_ccxt_gives_them(target):
    assert set(probe.CCXT_NAMES.values()) == set(ccxt.Exchange.requiredCredentials)
