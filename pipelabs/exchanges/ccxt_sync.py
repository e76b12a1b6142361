"""Merge the exchanges of the installed ccxt into the registry."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipelabs.exchanges.registry import FILE
from pipelabs.models.exchanges import Credential, Kind, SymbolStyle

Row = Mapping[str, Any]
"""A row of the registry."""
CREDENTIALS = {
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
"""ccxt's names of a key's fields, in the order of a form."""
DEFAULT_CREDENTIALS = [Credential.API_KEY.value, Credential.API_SECRET.value]
"""The most common fields of a key, for exchanges where ccxt names none."""
DOCUMENT_HOSTS = re.compile(r"docs\..*|.*\.zendesk\.com")
"""Hosts of documents that ccxt reads. No key is sent there."""
FOREIGN_HOSTS = {
    "binanceus": re.compile(r".*\.binance\.(com|vision)|.*\.binancefuture\.com"),
    "blockchaincom": re.compile(r".*\.delta\.exchange"),
    "gateeu": re.compile(r".*\.gateio\.ws|.*\.gateapi\.io"),
}
"""Hosts of another exchange, which ccxt's class inherits or has by mistake."""


class Changes(NamedTuple):
    """The slugs of exchanges that were added, changed, or dropped by ccxt."""

    added: list[str]
    changed: list[str]
    lost: list[str]


def read_registry() -> list[Row]:
    """Return the rows of the registry."""
    rows: list[Row] = json.loads(FILE.read_text(encoding="utf-8"))
    return rows


def read_ccxt() -> dict[str, Row]:
    """Return ccxt's id → the row that a new exchange would have."""
    import ccxt  # noqa: PLC0415 - 70 MB, only for this command

    return {ccxt_id: _row(getattr(ccxt, ccxt_id)()) for ccxt_id in ccxt.exchanges}


def merge(rows: Sequence[Row], facts: Mapping[str, Row]) -> list[Row]:
    """Return the rows, updated and extended by the facts of ccxt, in the order of slugs.

    Hosts, credentials and ccxt's id are updated. Name, links, kind, symbol style and aliases stay.
    An exchange that ccxt dropped loses its hosts, and its row stays.
    """
    known = {name for row in rows for name in _names(row)}
    new = [
        {**row, "credentials": row["credentials"] or DEFAULT_CREDENTIALS}
        for ccxt_id, row in facts.items()
        if ccxt_id not in known
    ]
    return sorted([*(_refresh(row, facts) for row in rows), *new], key=lambda row: row["slug"])


def compare(before: Sequence[Row], after: Sequence[Row]) -> Changes:
    """Return the changes between two lists of rows."""
    old = {row["slug"]: row for row in before}
    changed = [row for row in after if row["slug"] in old and row != old[row["slug"]]]
    lost = [row["slug"] for row in changed if old[row["slug"]]["ccxt_id"] and not row["ccxt_id"]]
    return Changes(
        added=[row["slug"] for row in after if row["slug"] not in old],
        changed=[row["slug"] for row in changed if row["slug"] not in lost],
        lost=lost,
    )


def to_text(rows: Sequence[Row]) -> str:
    """Return the text of the file: a row per line, for readable diffs."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n"


def _names(row: Row) -> list[str]:
    """Return the ids that the exchange may have in ccxt, the most likely first."""
    return [*filter(None, [row["ccxt_id"]]), row["slug"], *row["aliases"]]


def _refresh(row: Row, facts: Mapping[str, Row]) -> Row:
    latest = next((facts[name] for name in _names(row) if name in facts), None)
    if not latest:
        return {**row, "hosts": [], "ccxt_id": None}
    refreshed = {name: latest[name] for name in ("hosts", "testnet_hosts", "ccxt_id")}
    return {**row, **refreshed, "credentials": latest["credentials"] or row["credentials"]}


def _row(exchange: Any) -> Row:
    """Return the row of an exchange of ccxt."""
    urls, needed = exchange.urls, exchange.requiredCredentials
    docs = urls.get("doc") or urls["www"]
    return {
        "slug": exchange.id,
        "name": exchange.name,
        "website": _link(urls["www"]),
        "docs_url": _link(docs if isinstance(docs, str) else docs[0]),
        "kind": _kind(exchange.has).value,
        "symbol_style": SymbolStyle.OWN.value,
        "credentials": [ours.value for theirs, ours in CREDENTIALS.items() if needed.get(theirs)],
        "aliases": [],
        "hosts": _hosts(exchange, "api"),
        "testnet_hosts": _hosts(exchange, "test"),
        "ccxt_id": exchange.id,
    }


def _kind(has: Mapping[str, Any]) -> Kind:
    if not any(has.get(name) for name in ("swap", "future", "option")):
        return Kind.SPOT
    return Kind.BOTH if has.get("spot") else Kind.DERIVATIVES


def _link(address: str) -> str:
    return address.replace("http://", "https://", 1).rstrip("/")


def _hosts(exchange: Any, kind: str) -> list[str]:
    """Return the hosts that a key may be sent to; `kind` is `api` or `test`, as in ccxt."""
    # Some exchanges have a host for each part of the API, others one for all.
    names = [*_texts(exchange.urls.get("hostnames")), getattr(exchange, "hostname", None) or ""]
    urls = [
        url.replace("{hostname}", name) for url in _texts(exchange.urls.get(kind)) for name in names
    ]
    foreign = FOREIGN_HOSTS.get(exchange.id, DOCUMENT_HOSTS)
    return sorted(
        host
        for host in {_host(url) for url in urls} - {""}
        if not DOCUMENT_HOSTS.fullmatch(host) and not foreign.fullmatch(host)
    )


def _host(url: str) -> str:
    """Return the host of a URL, with its port if that is not the port of HTTPS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port not in (None, 443) else host


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in nested dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
