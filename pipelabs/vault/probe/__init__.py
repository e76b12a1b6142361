"""The key X-ray: ask an exchange what an API key may do, and prove nothing beyond its words."""

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
"""What is shorter is no credential, and would hide innocent text."""

_DETAIL = re.compile("[A-Za-z0-9._-]{1,32}")


def examine(target: Target, credentials: Mapping[str, str], *, deadline_s: float = 10) -> Report:
    """Ask the exchange what the key may do; every failure is a report, none is raised.

    `credentials` has our names of the fields. The whole takes `deadline_s` seconds at most.
    """
    start = time.monotonic()
    try:
        answer = child.run(question(target, credentials, deadline_s), deadline_s)
    except TimeoutError:
        answer = {"error": {"has_sent": True, "kinds": ["RequestTimeout"]}}
    ms = round((time.monotonic() - start) * 1000, 1)
    return conclude(target, credentials, answer, ms)


def question(target: Target, credentials: Mapping[str, str], timeout_s: float) -> dict[str, object]:
    """Return what `ask.py` reads: which method of ccxt's to call, with what, and how far."""
    return {
        "ccxt_id": target.ccxt_id,
        "method": rule_for(target.ccxt_id, is_testnet=target.is_testnet).method,
        "credentials": {CCXT_NAMES[name]: _read(text) for name, text in credentials.items()},
        "slug": target.slug,
        "hosts": sorted(target.hosts),
        "is_testnet": target.is_testnet,
        "base_url": target.base_url,
        "timeout_s": timeout_s,
    }


def _read(text: str) -> str:
    """Return a PEM file's line breaks, which Coinbase's JSON file writes as two characters."""
    return text.replace("\\n", "\n") if text.startswith("-----BEGIN") else text


def conclude(
    target: Target, credentials: Mapping[str, str], answer: Mapping[str, object], ms: float
) -> Report:
    """Return the report of what `ask.py` answered; an answer of another form is a failure."""
    private = [json.dumps(text)[1:-1] for text in credentials.values()]
    if "raw" not in answer:
        error = members(answer.get("error"))
        detail = _detail(error.get("code"), private)
        return Report(
            Reading(()).complete(), classify(target.ccxt_id, error), detail, expires_at=None, ms=ms
        )
    rule = rule_for(target.ccxt_id, is_testnet=target.is_testnet)
    reading = rule.read(answer["raw"], credentials.get("api_key", ""))
    findings = tuple(_publishable(one, private) for one in reading.complete())
    return Report(findings, failure=None, detail=None, expires_at=reading.expires_at, ms=ms)


def _detail(code: object, private: Sequence[str]) -> str | None:
    text = str(code)
    is_fit = code is not None and _DETAIL.fullmatch(text) and not _tells(text, private)
    return text if is_fit else None


def _publishable(one: Finding, private: Sequence[str]) -> Finding:
    if one.evidence is None:
        return one
    is_private = _tells(one.evidence, private)
    return replace(one, evidence=None if is_private else one.evidence[:MAX_EVIDENCE])


def _tells(text: str, private: Sequence[str]) -> bool:
    return any(secret in text for secret in private if len(secret) >= MIN_SECRET_LENGTH)
