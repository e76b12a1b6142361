"""What a text asks for."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from pipelabs.search.ranking import Rank, rank
from pipelabs.search.terms import Splitting, Terms, find_exchanges, split_pair
from tests.each import each


@each(
    ("text", "words", "exchanges"),
    [
        ("pepe okx", ("pepe",), ("okx",)),
        ("PEPE/USDT on OKX", ("pepe/usdt",), ("okx",)),
        ("okx pepe usdt", ("pepe", "usdt"), ("okx",)),
        ("pepe", ("pepe",), ()),
        ("okx", ("okx",), ()),
        ("okx okx", ("okx", "okx"), ()),
        ("kraken okx", ("kraken",), ("okx",)),
        ("pepe kraken okx", ("pepe",), ("kraken", "okx")),
        ("on", ("on",), ()),
    ],
)
def test_splitting_tells_exchanges_from_other_words(text, words, exchanges):
    assert Terms(text).splitting == Splitting(words, exchanges)


def test_exchanges_are_found_by_the_beginning_of_a_name():
    assert find_exchanges("okx") == ("okx",)
    assert {"binance", "binanceus"} <= set(find_exchanges("bina"))
    assert find_exchanges("o") == find_exchanges("nowhere") == ()


def test_pair_without_a_slash_is_split_before_its_quote_asset():
    assert split_pair("pepeusdt") == "pepe/usdt"
    assert split_pair("btceur") == "btc/eur"
    assert [split_pair(word) for word in ("usdt", "pepe", "a-usdt", "")] == [
        "usdt",
        "pepe",
        "a-usdt",
        "",
    ]


@each(
    ("text", "last"),
    [
        ("4711", "4711"),
        ("••••4711", "4711"),
        ("…ab", "ab"),
        ("4711 okx", "4711"),
        ("47112", ""),
        ("4711 main", ""),
    ],
)
def test_last_characters_of_a_key_have_up_to_four_places(text, last):
    assert Terms(text).last_characters == last


def test_request_ids_have_a_digit_and_eight_characters():
    assert Terms("0a1B2c3d").request_id == "0a1B2c3d"
    assert [Terms(text).request_id for text in ("abcdefgh", "0a1b2c3", "0a1b 2c3d")] == [None] * 3


def test_ids_of_rows_are_recognised():
    row_id = uuid4()

    assert Terms(str(row_id).upper()).id == row_id
    assert Terms("nothing").id is None


@each(
    ("text", "fit"),
    [
        ("alder peak", Rank.EXACT),
        ("ops@alder.example", Rank.IDENTIFIED),
        ("alder", Rank.BEGINNING),
        ("peak ald", Rank.WORDS),
        ("0x6ec4 alder", Rank.WORDS),
        ("lder pea", Rank.CONTAINED),
        ("example", Rank.OTHER),
        ("…", Rank.OTHER),
    ],
)
def test_rank_prefers_the_label_to_its_parts(text, fit):
    names = ("ops@alder.example",)

    assert rank(Terms(text), "Alder Peak", "0x6Ec4…639c", names) is fit


@each(
    ("text", "fit"), [("btcusdt", Rank.EXACT), ("BTC-USDT", Rank.EXACT), ("btc", Rank.IDENTIFIED)]
)
def test_rank_of_a_pair_takes_any_spelling(text, fit):
    assert rank(Terms(text), "BTC/USDT", "BTC against USDT", ("btc",)) is fit


@given(st.text())
def test_terms_of_any_text_are_read_without_an_error(text):
    terms = Terms(text)

    read = (terms.symbol, terms.wallet_ends, terms.request_id, terms.id, terms.is_indexed)

    assert len(read) == 5
    assert terms.splitting.words or not text.split()
    assert rank(terms, "Alder Peak") in Rank
