import pytest
from bip_utils import AtomAddrEncoder, EthAddrEncoder, Secp256k1PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.clients.address_codecs import base58_encode
from pipelabs.exchanges import registry
from pipelabs.models.exchanges import Credential
from pipelabs.vault.envelope import Secret
from pipelabs.vault.wallet_keys import (
    RULES,
    SAME_ADDRESS,
    STARK_ORDER,
    WALLET_KEY,
    find_form_errors,
    find_own_key,
    has_trading_keys,
)
from tests.each import each

# The keys 1 and 2 of the curve, and the addresses of the first.
ONE, TWO = f"{1:064x}", f"{2:064x}"
ADDRESS = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
DYDX = AtomAddrEncoder.EncodeKey(
    Secp256k1PrivateKey.FromBytes((1).to_bytes(32)).PublicKey(), hrp="dydx"
)
STARK = "0x" + "0abc" * 15
PARADEX = "0x" + "1def" * 16
PAIR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SOLANA = base58_encode(PAIR.private_bytes_raw() + PAIR.public_key().public_bytes_raw())
FORMS = (Encoding.PEM, PrivateFormat.PKCS8)
PEM = PAIR.private_bytes(*FORMS, NoEncryption()).decode()
LOCKED = PAIR.private_bytes(*FORMS, BestAvailableEncryption(b"a word")).decode()
WRONG_CURVE = ec.generate_private_key(ec.SECP256R1()).private_bytes(*FORMS, NoEncryption()).decode()
WITH_ACCOUNT = {"derive": ADDRESS, "dydx": DYDX, "hyperliquid": ADDRESS, "nado": ADDRESS}
EVM_KEYS = ("aster", "derive", "dydx", "grvt", "hyperliquid", "nado", "polymarket")


def make(exchange, **changes):
    """Credentials of an exchange: right ones, and the key of another account than the address."""
    good = {
        "api_key": "key",
        "account_id": "128",
        "private_key": {
            "extended": STARK,
            "lighter": "ab" * 40,
            "pacifica": SOLANA,
            "paradex": STARK,
            "revolutx": PEM,
        }.get(exchange, TWO),
        "wallet_address": WITH_ACCOUNT.get(exchange, PARADEX),
    }
    named = registry.known()[exchange].credentials
    return {name: Secret((good | changes)[name]) for name in map(str, named)}


def test_rules_are_known_for_every_exchange_whose_users_sign_with_a_key():
    signing = {
        slug for slug, row in registry.known().items() if Credential.PRIVATE_KEY in row.credentials
    }

    assert RULES.keys() == signing
    for slug, rules in RULES.items():
        assert rules.forms.keys() <= set(map(str, registry.known()[slug].credentials))


@each("exchange", sorted(RULES))
def test_a_key_as_the_exchange_shows_it_is_accepted(exchange):
    assert find_form_errors(exchange, make(exchange)) == {}


@each("exchange", sorted(RULES))
@each(
    "private_key",
    ["hello", "", "0x", ONE[1:], f"{ONE}0", "0" * 64, "f" * 65, f"0X{ONE}", "é" * 64, "0" * 44],
)
def test_other_text_is_no_key(exchange, private_key):
    errors = find_form_errors(exchange, make(exchange, private_key=private_key))

    assert list(errors) == ["private_key"]
    assert len(private_key) < 3 or private_key not in errors["private_key"][0]


@each(
    ("exchange", "private_key"),
    [
        *((exchange, key) for exchange in EVM_KEYS for key in (TWO, f"0x{TWO}", "AB" * 32)),
        ("hibachi", f"0x{TWO}"),
        ("hibachi", "A" * 43 + "="),
        ("lighter", "0x" + "AB" * 40),
        ("paradex", f"0x{TWO}"),
        ("paradex", hex(STARK_ORDER - 1)),
        ("extended", hex(STARK_ORDER - 1)),
    ],
)
def test_every_spelling_of_a_key_is_accepted(exchange, private_key):
    assert find_form_errors(exchange, make(exchange, private_key=private_key)) == {}


@each(
    ("exchange", "private_key"),
    [
        ("extended", hex(STARK_ORDER)),
        ("extended", STARK.removeprefix("0x")),
        ("pacifica", base58_encode(bytes(range(64)))),
        ("pacifica", base58_encode(bytes(range(32)))),
        ("pacifica", SOLANA + "0"),
        ("revolutx", LOCKED),
        ("revolutx", WRONG_CURVE),
        ("revolutx", PEM.replace("M", "N", 1)),
        ("lighter", "ab" * 39),
        ("hibachi", "A" * 44),
        ("paradex", hex(2**256 - 1)),
    ],
)
def test_a_text_close_to_a_key_is_none(exchange, private_key):
    errors = find_form_errors(exchange, make(exchange, private_key=private_key))

    assert list(errors) == ["private_key"]


@each("exchange", [*WITH_ACCOUNT, "paradex"])
@each(
    "wallet_address",
    ["banana", "", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", f"{ADDRESS}0", DYDX[:-1]],
)
def test_other_text_is_no_account(exchange, wallet_address):
    errors = find_form_errors(exchange, make(exchange, wallet_address=wallet_address))

    assert list(errors) == ["wallet_address"]


def test_account_id_of_hibachi_is_a_number():
    assert list(find_form_errors("hibachi", make("hibachi", account_id="acme"))) == ["account_id"]


@each("exchange", [*WITH_ACCOUNT, "paradex"])
@each("private_key", [ONE, f"0x{ONE}"])
def test_key_of_the_account_itself_is_recognised(exchange, private_key):
    account = WITH_ACCOUNT.get(exchange, ADDRESS)
    spellings = {account, account.lower(), account.upper().replace("0X", "0x")}

    for spelling in spellings:
        own = make(exchange, private_key=private_key, wallet_address=spelling)
        assert find_own_key(exchange, own) == SAME_ADDRESS


@each("exchange", sorted(RULES.keys() - {"polymarket"}))
def test_another_key_is_not_the_accounts_own(exchange):
    assert find_own_key(exchange, make(exchange)) is None
    assert has_trading_keys(exchange)


@each("exchange", [*WITH_ACCOUNT, "paradex"])
@each(
    "changes",
    [{"private_key": "hello"}, {"private_key": "0" * 64}, {"wallet_address": "banana"}],
)
def test_a_stored_key_of_another_form_is_not_the_accounts_own(exchange, changes):
    assert find_own_key(exchange, make(exchange, **changes)) is None
    assert find_own_key(exchange, {"api_key": Secret("key")}) is None


def test_key_of_a_wallet_is_its_own_where_no_other_key_looks_like_it():
    assert find_own_key("lighter", make("lighter", private_key=TWO)) == WALLET_KEY
    assert find_own_key("polymarket", make("polymarket")) == WALLET_KEY
    assert not has_trading_keys("polymarket")


@pytest.mark.parametrize("exchange", ["okx", "coinbase"])
def test_other_exchanges_have_other_forms(exchange):
    assert find_form_errors(exchange, {}) == {}
    assert find_own_key(exchange, {}) is None
    assert has_trading_keys(exchange)


@settings(max_examples=20)
@given(st.integers(1, 2**255))
def test_address_of_any_key_is_the_one_of_bip_utils(number):
    key = number.to_bytes(32)
    public = Secp256k1PrivateKey.FromBytes(key).PublicKey()
    addresses = {
        "hyperliquid": EthAddrEncoder.EncodeKey(public),
        "dydx": AtomAddrEncoder.EncodeKey(public, hrp="dydx"),
    }

    for exchange, address in addresses.items():
        own = make(exchange, private_key=key.hex(), wallet_address=address)
        assert find_own_key(exchange, own) == SAME_ADDRESS
