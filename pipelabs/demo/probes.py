"""Credentials of demo keys, and what their exchanges would report about them.

On the exchanges that the local stub simulates, the stub knows the credentials too, so a demo key
can be verified again where `make run` has started it. They are credentials of nothing else.
"""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipelabs.exchanges import registry
from pipelabs.models.exchanges import Credential
from pipelabs.vault.examination import ALL_UNKNOWN, ProbeResult
from pipelabs.vault.probe import Failure
from pipelabs.vault.probe.rules import RULES, rule_for

STUBBED = {*RULES, "kraken"}
"""The exchanges that the stub simulates."""
TRADE_ONLY, IP_BOUND = "trade-only", "ip-bound"
"""Scenarios of the stub."""
ADDRESS = "198.51.100.30"
"""From where the desk trades."""
TIMEOUT_MS = 10_000.0


def make_credentials(slug: str, account: str, scenario: str = TRADE_ONLY) -> dict[str, str]:
    """Return the credentials of an account at an exchange, the same each time.

    Those of the stub's exchanges are derived as `tests/stub_exchange/accounts.py` says.
    """
    number = hashlib.sha256(f"pipelabs demo {slug} {account}".encode()).hexdigest()
    stubbed = f"{slug}-{scenario}.{int(number[:8], 16)}.{int(number[8:12], 16)}"
    api_key = stubbed if slug in STUBBED else number[:32]
    texts = {
        Credential.API_KEY: api_key,
        Credential.API_SECRET: _make_secret(slug, api_key),
        Credential.PASSPHRASE: _hash(f"stub passphrase {api_key}").hexdigest()[:16],
    }
    names = registry.known()[slug].credentials
    return {name.value: texts.get(name, _hash(f"{name} {number}").hexdigest()) for name in names}


def report_permissions(slug: str, api_key: str, ms: float) -> ProbeResult:
    """Return the report about a key that may trade, as far as its exchange tells."""
    known = registry.known()[slug]
    if known.ccxt_id is None:
        return ProbeResult(ALL_UNKNOWN, None, None, None, 0.0)
    answer = ANSWERS.get(known.ccxt_id)
    raw = answer(api_key, f"-{IP_BOUND}" in api_key) if answer else {}
    reading = rule_for(known.ccxt_id, is_testnet=False).read(raw, api_key)
    permissions = {
        finding.permission.value: {"verdict": finding.verdict.value, "evidence": finding.evidence}
        for finding in reading.complete()
    }
    return ProbeResult(permissions, None, None, reading.expires_at, ms)


def report_failure(failure: Failure, code: str | None = None) -> ProbeResult:
    """Return the report of a probe that failed."""
    ms = TIMEOUT_MS if failure is Failure.TIMEOUT else 212.4
    return ProbeResult(ALL_UNKNOWN, failure, code, None, ms)


def _make_secret(slug: str, api_key: str) -> str:
    digest = _hash(f"stub {api_key}")
    if slug == "kraken":
        return base64.b64encode(digest.digest()).decode()
    if slug == "coinbase":
        number = int(digest.hexdigest(), 16) % (2**255) + 1
        key = ec.derive_private_key(number, ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        return pem.decode()
    return digest.hexdigest()


def _hash(text: str) -> "hashlib._Hash":
    return hashlib.sha256(text.encode())


def _answer_binance(_: str, is_bound: bool) -> Any:  # noqa: FBT001 - one table for all
    names = ("enableReading", "enableSpotAndMarginTrading", "enableFutures")
    others = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
    flags = dict.fromkeys(names, True) | dict.fromkeys(others, False)
    return flags | {"enablePortfolioMarginTrading": False, "ipRestrict": is_bound}


def _answer_bybit(_: str, is_bound: bool) -> Any:  # noqa: FBT001 - as above
    lists = {"Spot": ["SpotTrade"], "ContractTrade": ["Order", "Position"], "Wallet": []}
    result = {
        "readOnly": 0,
        "permissions": lists | {"Options": [], "Derivatives": ["DerivativesTrade"]},
        "ips": [ADDRESS] if is_bound else ["*"],
        "expiredAt": "1970-01-01T00:00:00Z",
    }
    return {"result": result}


def _answer_okx(_: str, is_bound: bool) -> Any:  # noqa: FBT001 - as above
    return {"data": [{"perm": "read_only,trade", "ip": ADDRESS if is_bound else ""}]}


def _answer_kucoin(_: str, is_bound: bool) -> Any:  # noqa: FBT001 - as above
    # KuCoin leaves the field out where there is no list.
    bound = {"ipWhitelist": ADDRESS} if is_bound else {}
    return {"data": {"permission": "General,Futures,Spot,Margin"} | bound}


def _answer_coinbase(_: str, _is_bound: bool) -> Any:  # noqa: FBT001 - as above
    return {"can_view": True, "can_trade": True, "can_transfer": False}


def _answer_gate(api_key: str, is_bound: bool) -> Any:  # noqa: FBT001 - as above
    names = ("account", "spot", "futures", "wallet")
    perms = [{"name": name, "read_only": name in {"account", "wallet"}} for name in names]
    addresses = [ADDRESS] if is_bound else []
    return [{"key": f"{api_key[:12]}*****", "perms": perms, "ip_whitelist": addresses}]


def _answer_mexc(_: str, _is_bound: bool) -> Any:  # noqa: FBT001 - as above
    return {"canTrade": True, "canWithdraw": True, "accountType": "SPOT", "balances": []}


def _answer_bitget(_: str, is_bound: bool) -> Any:  # noqa: FBT001 - as above
    names = ["stow", "smow", "coow", "cpow", "wtor"]
    return {"data": {"authorities": names, "ips": ADDRESS if is_bound else ""}}


ANSWERS = {
    "binance": _answer_binance,
    "bybit": _answer_bybit,
    "okx": _answer_okx,
    "kucoin": _answer_kucoin,
    "coinbase": _answer_coinbase,
    "gate": _answer_gate,
    "mexc": _answer_mexc,
    "bitget": _answer_bitget,
}
"""By ccxt's id: what the exchange answers, in its documented form, about a key that may trade."""
