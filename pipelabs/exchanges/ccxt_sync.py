"""What the installed ccxt knows of exchanges, merged into the registry's file, which stays ours."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipelabs.exchanges.registry import FILE
from pipelabs.models.exchanges import Credential, Kind, SymbolStyle

Row = Mapping[str, Any]
"""A row of the file; of ccxt's, the row that a new exchange would have."""
WORDS = {
    "apiKey": Credential.API_KEY,
    "secret": Credential.API_SECRET,
    "password": Credential.PASSPHRASE,
    "uid": Credential.UID,
    "accountId": Credential.ACCOUNT_ID,
    "login": Credential.LOGIN,
    "token": Credential.TOKEN,
    "privateKey": Credential.PRIVATE_KEY,
    "walletAddress": Credential.WALLET_ADDRESS,
    "twofa": Credential.TWO_FACTOR,
}
"""ccxt's words for what a key consists of, in the order of a form."""
COMMON = [Credential.API_KEY.value, Credential.API_SECRET.value]
"""What a key most often consists of; of some exchanges ccxt does not say it."""
PAGES = re.compile(r"docs\..*|.*\.zendesk\.com")
"""Hosts of pages that ccxt reads facts from; no key is ever sent there."""
ELSEWHERE = {
    "binanceus": re.compile(r".*\.binance\.(com|vision)|.*\.binancefuture\.com"),
    "blockchaincom": re.compile(r".*\.delta\.exchange"),
    "gateeu": re.compile(r".*\.gateio\.ws|.*\.gateapi\.io"),
}
"""Hosts of another exchange, which ccxt's class has from its parent or by mistake."""


class Changes(NamedTuple):
    """The slugs of what was added, of what is not as it was, and of what ccxt has dropped."""

    added: list[str]
    changed: list[str]
    lost: list[str]


def stored() -> list[Row]:
    """Return the rows of the file."""
    rows: list[Row] = json.loads(FILE.read_text(encoding="utf-8"))
    return rows


def known_to_ccxt() -> dict[str, Row]:
    """Return ccxt's id → what the row of a new exchange would be."""
    import ccxt  # noqa: PLC0415 - weight: 70 MB, for a command of the developers

    return {ccxt_id: _row(getattr(ccxt, ccxt_id)()) for ccxt_id in ccxt.exchanges}


def merged(rows: Sequence[Row], facts: Mapping[str, Row]) -> list[Row]:
    """Return the rows with what ccxt has come to know, by slug; no row is ever removed.

    Hosts, credentials and ccxt's id are refreshed. Name, links, kind, symbol style and aliases are
    ours. What ccxt has dropped can no longer be called, and is otherwise kept.
    """
    known = {name for row in rows for name in _names(row)}
    new = [
        {**row, "credentials": row["credentials"] or COMMON}
        for ccxt_id, row in facts.items()
        if ccxt_id not in known
    ]
    return sorted([*(_refreshed(row, facts) for row in rows), *new], key=lambda row: row["slug"])


def compared(before: Sequence[Row], after: Sequence[Row]) -> Changes:
    """Return what `merged` has made of the rows before."""
    old = {row["slug"]: row for row in before}
    changed = [row for row in after if row["slug"] in old and row != old[row["slug"]]]
    lost = [row["slug"] for row in changed if old[row["slug"]]["ccxt_id"] and not row["ccxt_id"]]
    return Changes(
        added=[row["slug"] for row in after if row["slug"] not in old],
        changed=[row["slug"] for row in changed if row["slug"] not in lost],
        lost=lost,
    )


def as_text(rows: Sequence[Row]) -> str:
    """Return the file's text: a row a line, so that a change of one is a line of a diff."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n"


def _names(row: Row) -> list[str]:
    """Return under which of its ids ccxt may know the exchange, the likeliest first."""
    return [*filter(None, [row["ccxt_id"]]), row["slug"], *row["aliases"]]


def _refreshed(row: Row, facts: Mapping[str, Row]) -> Row:
    found = next((facts[name] for name in _names(row) if name in facts), None)
    if not found:
        return {**row, "hosts": [], "ccxt_id": None}
    refreshed = {name: found[name] for name in ("hosts", "testnet_hosts", "ccxt_id")}
    return {**row, **refreshed, "credentials": found["credentials"] or row["credentials"]}


def _row(exchange: Any) -> Row:
    """Return what ccxt says of one exchange, in our words."""
    urls, needed = exchange.urls, exchange.requiredCredentials
    docs = urls.get("doc") or urls["www"]
    return {
        "slug": exchange.id,
        "name": exchange.name,
        "website": _link(urls["www"]),
        "docs_url": _link(docs if isinstance(docs, str) else docs[0]),
        "kind": _kind(exchange.has).value,
        "symbol_style": SymbolStyle.OWN.value,
        "credentials": [ours.value for theirs, ours in WORDS.items() if needed.get(theirs)],
        "aliases": [],
        "hosts": _hosts(exchange, "api"),
        "testnet_hosts": _hosts(exchange, "test"),
        "ccxt_id": exchange.id,
    }


def _kind(has: Mapping[str, Any]) -> Kind:
    if not any(has.get(one) for one in ("swap", "future", "option")):
        return Kind.SPOT
    return Kind.BOTH if has.get("spot") else Kind.DERIVATIVES


def _link(address: str) -> str:
    return address.replace("http://", "https://", 1).rstrip("/")


def _hosts(exchange: Any, kind: str) -> list[str]:
    """Return the hosts that a key may be sent to; `kind` is ccxt's word, `api` or `test`."""
    # Some have a host for each part of the API, where others have one for all.
    names = [*_texts(exchange.urls.get("hostnames")), getattr(exchange, "hostname", None) or ""]
    urls = [
        url.replace("{hostname}", name) for url in _texts(exchange.urls.get(kind)) for name in names
    ]
    elsewhere = ELSEWHERE.get(exchange.id, PAGES)
    return sorted(
        host
        for host in {_host(url) for url in urls} - {""}
        if not PAGES.fullmatch(host) and not elsewhere.fullmatch(host)
    )


def _host(url: str) -> str:
    """Return the host of an address, and its port if that is not the one of HTTPS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port not in (None, 443) else host


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a tree of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
