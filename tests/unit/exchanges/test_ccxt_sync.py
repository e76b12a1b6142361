from types import SimpleNamespace

import pytest

from pipelabs.exchanges import ccxt_sync, registry
from pipelabs.exchanges.ccxt_sync import compare, merge, read_registry, to_text
from tests.each import each


@pytest.fixture(scope="module")
def facts():
    return ccxt_sync.read_ccxt()


def make_row(**changes):
    return {
        "slug": "gate",
        "name": "Gate",
        "website": "https://www.gate.com",
        "docs_url": "https://www.gate.com/docs",
        "kind": "both",
        "symbol_style": "underscore",
        "credentials": ["api_key", "api_secret"],
        "aliases": ["gateio"],
        "hosts": ["api.gateio.ws"],
        "testnet_hosts": [],
        "ccxt_id": "gate",
    } | changes


def make_exchange(**changes):
    """What a class of ccxt has."""
    urls = {
        "www": "http://www.new.example/",
        "doc": ["https://docs.new.example/v1", "https://elsewhere.example"],
        "api": {
            "public": "https://{hostname}/v1",
            "private": {"v2": "https://api2.new.example:8443"},
        },
        "test": "https://api.test.new.example",
        "zendesk": "https://new.zendesk.com",
    }
    made = {
        "id": "newex",
        "name": "New Ex",
        "hostname": "api.new.example",
        "urls": urls,
        "has": {"spot": True, "swap": None},
        "requiredCredentials": {"uid": True, "secret": True, "apiKey": True, "twofa": False},
    }
    return SimpleNamespace(**made | changes)


def test_registry_is_up_to_date_with_the_installed_ccxt(facts):
    rows = read_registry()

    after = merge(rows, facts)

    assert compare(rows, after) == ([], [], [])
    assert to_text(after) == registry.FILE.read_text(encoding="utf-8")


def test_merge_adds_a_new_exchange_in_order():
    after = merge([make_row()], {"bit": make_row(slug="bit", aliases=[], ccxt_id="bit")})

    assert [row["slug"] for row in after] == ["bit", "gate"]
    assert compare([make_row()], after) == (["bit"], [], ["gate"])


def test_merge_gives_a_new_exchange_default_credentials():
    [row] = merge([], {"bit": make_row(slug="bit", credentials=[])})

    assert row["credentials"] == ["api_key", "api_secret"]


@pytest.mark.parametrize("ccxt_id", ["gate", "gateio"])
def test_merge_updates_only_the_facts_of_ccxt(ccxt_id):
    theirs = make_row(
        name="gate.io",
        website="https://x.example",
        docs_url="https://y.example",
        kind="spot",
        symbol_style="own",
        aliases=[],
        credentials=["api_key", "api_secret", "passphrase"],
        hosts=["api.gate.example"],
        testnet_hosts=["test.gate.example"],
        ccxt_id=ccxt_id,
    )

    after = merge([make_row()], {ccxt_id: theirs})

    refreshed = ("credentials", "hosts", "testnet_hosts", "ccxt_id")
    assert after == [make_row(**{name: theirs[name] for name in refreshed})]
    assert compare([make_row()], after) == ([], ["gate"], [])


def test_merge_keeps_credentials_that_ccxt_does_not_name():
    [row] = merge([make_row(credentials=["private_key"])], {"gate": make_row(credentials=[])})

    assert row["credentials"] == ["private_key"]


def test_merge_keeps_an_exchange_that_ccxt_dropped():
    before = [make_row(testnet_hosts=["test.gate.example"])]

    after = merge(before, {})

    assert after == [{**before[0], "hosts": [], "ccxt_id": None}]
    assert compare(before, after) == ([], [], ["gate"])


def test_merge_restores_hosts_of_an_exchange_that_ccxt_has_again():
    [row] = merge([make_row(hosts=[], ccxt_id=None)], {"gate": make_row()})

    assert row == make_row()


def test_read_ccxt_builds_a_row():
    row = ccxt_sync._row(make_exchange())

    assert row == {
        "slug": "newex",
        "name": "New Ex",
        "website": "https://www.new.example",
        "docs_url": "https://docs.new.example/v1",
        "kind": "spot",
        "symbol_style": "own",
        "credentials": ["api_key", "api_secret", "uid"],
        "aliases": [],
        "hosts": ["api.new.example", "api2.new.example:8443"],
        "testnet_hosts": ["api.test.new.example"],
        "ccxt_id": "newex",
    }


@each(
    ("has", "kind"),
    [
        ({"spot": True, "future": True}, "both"),
        ({"spot": False, "option": True}, "derivatives"),
        ({"spot": True}, "spot"),
    ],
)
def test_read_ccxt_derives_the_kind(has, kind):
    assert ccxt_sync._row(make_exchange(has=has))["kind"] == kind


def test_read_ccxt_falls_back_to_the_website():
    urls = {"www": "https://new.example", "api": "https://api.new.example", "test": None}

    row = ccxt_sync._row(make_exchange(urls=urls, hostname=None))

    assert (row["docs_url"], row["testnet_hosts"]) == ("https://new.example", [])


def test_read_ccxt_leaves_out_document_and_foreign_hosts(facts):
    assert facts["kraken"]["hosts"] == ["api.kraken.com"]
    assert facts["binanceus"]["testnet_hosts"] == facts["blockchaincom"]["testnet_hosts"] == []
    assert "docs.gemini.com" not in facts["gemini"]["hosts"]
    assert facts["gateeu"]["hosts"] == ["api.gateeu.com"]
    assert "api.huobi.pro" in facts["htx"]["hosts"]
