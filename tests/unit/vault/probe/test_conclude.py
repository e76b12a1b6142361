import ccxt
import pytest

from pipelabs.vault import probe
from pipelabs.vault.probe.report import Failure, Verdict
from tests.stub_exchange import Scenario, credentials


@pytest.mark.parametrize("place", ["perm", "ip"])
def test_conclude_leaves_out_evidence_with_a_credential(target, place):
    named = credentials("okx", Scenario.TRADE_ONLY)
    padded = "x" * 190 + named["api_secret"]
    raw = {"data": [{"perm": "read_only", "ip": "10.0.0.1"} | {place: padded}]}

    report = probe.conclude(target("okx"), named, {"raw": raw}, ms=0)

    assert not any(named["api_secret"][:6] in str(finding.evidence) for finding in report.findings)


def test_conclude_shortens_evidence_and_makes_it_printable(target):
    raw = {"data": [{"perm": "trade,\n\u202e" + "x" * 300}]}

    report = probe.conclude(target("okx"), {}, {"raw": raw}, ms=0)

    assert report.findings[1].evidence == ("perm=trade,\\n\\u202e" + "x" * 300)[:200]


@pytest.mark.parametrize("code", ["Invalid key: abc", "x" * 33, "", "okx-trade-only"])
def test_conclude_drops_an_error_code_that_is_text_or_a_credential(target, code):
    named = {"api_key": "okx-trade-only"}

    report = probe.conclude(target("okx"), named, {"error": {"code": code, "has_sent": True}}, ms=0)

    assert report.detail is None


@pytest.mark.parametrize("answer", [{}, {"error": "nonsense"}, {"error": {"kinds": 1}}, {"a": 1}])
def test_conclude_reports_malformed_output_as_a_failure(target, answer):
    report = probe.conclude(target("okx"), {}, answer, ms=0)

    assert report.failure is Failure.OTHER
    assert {finding.verdict for finding in report.findings} == {Verdict.UNKNOWN}


def test_make_question_keeps_other_credentials_unchanged(target):
    named = {"api_key": " k", "passphrase": "back\\nslash"}

    question = probe.make_question(target("okx"), named, 1)

    assert question["credentials"] == {"apiKey": " k", "password": "back\\nslash"}


def test_ccxt_names_are_all_credentials_of_ccxt(target):
    assert set(probe.CCXT_NAMES.values()) == set(ccxt.Exchange.requiredCredentials)
