import pytest

from pipelabs.exchanges import ccxt_sync, registry
from pipelabs.models import AuditEvent, Exchange
from pipelabs.models.exchanges import Kind, SymbolStyle


@pytest.fixture
def run(app):
    return lambda *words: app.test_cli_runner().invoke(args=words)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a copy of the registry without one exchange and with an outdated one."""
    rows = [dict(row) for row in ccxt_sync.read_registry() if row["slug"] != "bybit"]
    for row in rows:
        if row["slug"] == "okx":
            row |= {"hosts": ["old.example"], "name": "Ours"}
        if row["slug"] == "bitkub":
            row |= {"hosts": ["api.bitkub.com"], "ccxt_id": "bitkub"}
    path = tmp_path / "exchanges.json"
    path.write_text(ccxt_sync.to_text(rows), encoding="utf-8")
    monkeypatch.setattr(registry, "FILE", path)
    monkeypatch.setattr(ccxt_sync, "FILE", path)
    return path


CHANGES = "1 added: bybit\n1 changed: okx\n1 lost: bitkub\n"


def test_sync_writes_the_registry_and_prints_the_changes(run, file):
    first, second = run("exchanges", "sync"), run("exchanges", "sync")

    assert (first.exit_code, first.stdout) == (0, CHANGES)
    assert (second.exit_code, second.stdout) == (0, "0 added\n0 changed\n0 lost\n")
    rows = {row["slug"]: row for row in ccxt_sync.read_registry()}
    assert (rows["okx"]["name"], rows["okx"]["hosts"]) == ("Ours", ["www.okx.com"])
    assert rows["bitkub"]["ccxt_id"] is None
    assert rows["bybit"]["symbol_style"] == "own"


def test_sync_check_writes_nothing_and_exits_1_if_there_are_changes(run, file):
    before = file.read_text()

    result = run("exchanges", "sync", "--check")

    assert (result.exit_code, result.stdout) == (1, CHANGES)
    assert file.read_text() == before


def test_sync_check_finds_no_change_in_this_checkout(run):
    assert run("exchanges", "sync", "--check").exit_code == 0


def test_sync_reports_a_file_that_cannot_be_written(run, file, monkeypatch):
    monkeypatch.setattr(registry, "FILE", file.parent)

    result = run("exchanges", "sync")

    assert result.exit_code == 1
    assert f"Error: Cannot write {file.parent} (Is a directory)." in result.stderr
    assert "Run this in a checkout." in result.stderr


def test_seed_exchanges_adds_every_exchange_once(run, rows):
    first, second = run("seed", "exchanges"), run("seed", "exchanges")

    known = registry.known()
    assert first.stdout == f"Exchanges: {len(known)} added, 0 updated, 0 unchanged\n"
    assert second.stdout == f"Exchanges: 0 added, 0 updated, {len(known)} unchanged\n"
    stored = {row.slug: row for row in rows(Exchange)}
    assert set(stored) == set(known)
    okx = stored["okx"]
    assert (okx.name, okx.kind, okx.symbol_style) == ("OKX", Kind.BOTH, SymbolStyle.DASH)
    assert okx.credentials == ["api_key", "api_secret", "passphrase"]
    assert okx.needs_passphrase
    [noted] = rows(AuditEvent)
    assert (noted.event, noted.details) == (
        "exchange.seeded",
        {"added": str(len(known)), "updated": "0"},
    )


def test_seed_exchanges_updates_facts_and_keeps_settings(run, rows, change):
    run("seed", "exchanges")
    config = {"maker_fee_bps": "2"}
    change(Exchange, is_enabled=False, config=config, version=7)
    change(Exchange, symbol_style=SymbolStyle.OWN, name="Old", aliases=[])

    result = run("seed", "exchanges")

    [okx] = rows(Exchange, slug="okx")
    assert result.stdout == f"Exchanges: 0 added, {len(registry.known())} updated, 0 unchanged\n"
    assert (okx.name, okx.symbol_style, okx.aliases) == ("OKX", SymbolStyle.DASH, ["okex", "okex5"])
    assert (okx.is_enabled, okx.config, okx.version) == (False, config, 7)
    assert okx.updated_at > okx.created_at
