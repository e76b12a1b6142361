"""Ask an exchange which permissions an API key has, and infer nothing beyond its answer."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelabs.vault.probe import child
from pipelabs.vault.probe.failures import classify
from pipelabs.vault.probe.findings import Reading, members
from pipelabs.vault.probe.report import Failure, Finding, KeyPermission, Report, Target, Verdict
from pipelabs.vault.probe.rules import PUBLIC_BALANCES, rule_for

__all__ = [
    "PUBLIC_BALANCES",
    "Failure",
    "Finding",
    "KeyPermission",
    "Report",
    "Target",
    "Verdict",
    "examine",
]

CCXT_NAMES = {
    "api_key": "apiKey",
    "api_secret": "secret",
    "passphrase": "password",
    "uid": "uid",
    "account_id": "accountId",
    "login": "login",
    "token": "token",
    "private_key": "privateKey",
    "wallet_address": "walletAddress",
    "two_factor": "twofa",
}
MAX_EVIDENCE = 200
MIN_SECRET_LENGTH = 4
"""A shorter text is not secret, and hiding it would hide evidence."""

_DETAIL = re.compile("[A-Za-z0-9._-]{1,32}")


def examine(target: Target, credentials: Mapping[str, str], *, deadline_s: float = 10) -> Report:
    """Ask the exchange for the permissions of the key; a failure is reported, not raised.

    `credentials` uses our names of the fields. The call takes at most `deadline_s` seconds.
    """
    start = time.monotonic()
    try:
        answer = child.run(make_question(target, credentials, deadline_s), deadline_s)
    except TimeoutError:
        answer = {"error": {"has_sent": True, "kinds": ["RequestTimeout"]}}
    ms = round((time.monotonic() - start) * 1000, 1)
    return conclude(target, credentials, answer, ms)


def make_question(
    target: Target, credentials: Mapping[str, str], timeout_s: float
) -> dict[str, object]:
    """Return the input of `ask.py`: the methods of ccxt to call, the credentials and the limits."""
    rule = rule_for(target.ccxt_id, is_testnet=target.is_testnet)
    return {
        "ccxt_id": target.ccxt_id,
        "method": rule.method,
        "methods": {code: other.method for code, other in rule.others.items()},
        "credentials": {
            CCXT_NAMES[name]: _expand_line_breaks(text) for name, text in credentials.items()
        },
        "slug": target.slug,
        "hosts": sorted(target.hosts),
        "is_testnet": target.is_testnet,
        "base_url": target.base_url,
        "timeout_s": timeout_s,
    }


def _expand_line_breaks(text: str) -> str:
    r"""Return a PEM key with real line breaks; Coinbase's JSON file has them as `\n`."""
    return text.replace("\\n", "\n") if text.startswith("-----BEGIN") else text


def conclude(
    target: Target, credentials: Mapping[str, str], answer: Mapping[str, object], ms: float
) -> Report:
    """Return the report for the output of `ask.py`; malformed output is a failure."""
    secrets = [json.dumps(text)[1:-1] for text in credentials.values()]
    if "raw" not in answer:
        error = members(answer.get("error"))
        detail = _detail(error.get("code"), secrets)
        return Report(
            Reading(()).complete(), classify(target.ccxt_id, error), detail, expires_at=None, ms=ms
        )
    rule = rule_for(target.ccxt_id, is_testnet=target.is_testnet).of_method(answer.get("method"))
    reading = rule.read(answer["raw"], credentials.get("api_key", ""))
    findings = tuple(_redact(finding, secrets) for finding in reading.complete())
    return Report(findings, failure=None, detail=None, expires_at=reading.expires_at, ms=ms)


def _detail(code: object, secrets: Sequence[str]) -> str | None:
    text = str(code)
    is_code = code is not None and _DETAIL.fullmatch(text) and not _has_secret(text, secrets)
    return text if is_code else None


def _redact(finding: Finding, secrets: Sequence[str]) -> Finding:
    if finding.evidence is None:
        return finding
    is_secret = _has_secret(finding.evidence, secrets)
    return replace(finding, evidence=None if is_secret else finding.evidence[:MAX_EVIDENCE])


def _has_secret(text: str, secrets: Sequence[str]) -> bool:
    return any(secret in text for secret in secrets if len(secret) >= MIN_SECRET_LENGTH)
