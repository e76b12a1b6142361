from bip_utils import EthAddrEncoder, Secp256k1PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.vault.envelope import Secret
from pipelabs.vault.wallet_keys import NOT_A_KEY, NOT_AN_ADDRESS, find_form_errors, is_own_key
from tests.each import each

# The keys 1 and 2 of the curve, and the address of the first.
ONE, TWO = f"{1:064x}", f"{2:064x}"
ADDRESS = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def make(private_key=TWO, wallet_address=ADDRESS):
    return {"private_key": Secret(private_key), "wallet_address": Secret(wallet_address)}


@each("private_key", [TWO, f"0x{TWO}", "AB" * 32])
def test_key_of_an_api_wallet_is_accepted(private_key):
    credentials = make(private_key)

    assert find_form_errors("hyperliquid", credentials) == {}
    assert not is_own_key("hyperliquid", credentials)


@each("private_key", [ONE, f"0x{ONE}"])
@each("wallet_address", [ADDRESS, ADDRESS.lower(), ADDRESS.upper().replace("X", "x")])
def test_key_of_the_account_itself_is_recognised(private_key, wallet_address):
    assert is_own_key("hyperliquid", make(private_key, wallet_address))


@each(
    "private_key", ["hello", "", "0x", ONE[1:], f"{ONE}0", "0" * 64, "f" * 64, f"0X{ONE}", "é" * 64]
)
def test_other_text_is_no_key(private_key):
    credentials = make(private_key)

    assert find_form_errors("hyperliquid", credentials) == {"private_key": [NOT_A_KEY]}
    assert not is_own_key("hyperliquid", credentials)


@each("wallet_address", ["banana", "", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", f"{ADDRESS}0"])
def test_other_text_is_no_account(wallet_address):
    credentials = make(wallet_address=wallet_address)

    assert find_form_errors("hyperliquid", credentials) == {"wallet_address": [NOT_AN_ADDRESS]}
    assert not is_own_key("hyperliquid", credentials)


def test_other_exchanges_have_other_forms():
    assert find_form_errors("okx", {}) == {}
    assert not is_own_key("okx", {})


@settings(max_examples=20)
@given(st.integers(1, 2**255))
def test_address_of_any_key_is_the_one_of_bip_utils(number):
    key = number.to_bytes(32)
    public = Secp256k1PrivateKey.FromBytes(key).PublicKey()

    assert is_own_key("hyperliquid", make(key.hex(), EthAddrEncoder.EncodeKey(public)))
