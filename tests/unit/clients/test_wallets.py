import subprocess
import sys

import pytest
from bip_utils import Base58Encoder
from eth_utils.address import to_checksum_address
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelabs.wallets import CHAINS, Chain, Wallet, WalletError, recognise
from tests.each import each

EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
BITCOIN = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]
TRON = ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TLa2f6VPqDgRE67v1736s7bJ8Ray5wYjU7"]
SOLANA = [
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "vines1vzrYbzLMRdu58ou5XTby4qAqVRLmqo36NKPTg",
    "SysvarC1ock11111111111111111111111111111111",
    Base58Encoder.Encode(bytes(31) + b"\x05"),  # 32 characters and a leading 1, as Bitcoin's have
    Base58Encoder.Encode(bytes(28) + b"\xff\xff\xff\xff"),
]
REAL = {Chain.EVM: EIP_55, Chain.BITCOIN: BITCOIN, Chain.TRON: TRON, Chain.SOLANA: SOLANA}
REAL_PAIRS = [(chain, address) for chain, addresses in REAL.items() for address in addresses]
REAL_ADDRESSES = st.sampled_from([address for _, address in REAL_PAIRS])
LOWER = EIP_55[4].lower()
# The test vectors of Bitcoin's wiki, BIP-38 and BIP-32, known to all.
SECRETS = [
    "ab" * 32,
    "0x" + "AB" * 32,
    "0X" + "ab" * 64,
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK",
    "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617",
    "6PRVWUbkzzsbcVac2qwfssoUJAN1Xhrg6bNk8J7Nzm5H7kxEbn2Nh2ZoGg",
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3"
    "TGtRBeJgk33yuGBxrMPHi",
    Base58Encoder.Encode(bytes(range(1, 65))),
    str(list(range(64))),
    "abandon " * 11 + "about",
    "  " + "Abandon,\n" * 23 + "art ",
    "ábaco " * 14 + "abdomen",
]


def refusal(text):
    with pytest.raises(WalletError) as caught:
        recognise(text)
    return str(caught.value)


@each(("chain", "address"), REAL_PAIRS)
def test_a_real_address_is_told_by_its_chain_and_kept(chain, address):
    assert recognise(address) == Wallet(chain, address)


@each(("chain", "address"), REAL_PAIRS)
def test_spaces_around_an_address_are_trimmed(chain, address):
    assert recognise(f"  {address} ") == Wallet(chain, address)


@each("around", ["\t", "\n", "\0", "\u00a0", "\u200b", "\ud800"])
@each(("chain", "address"), REAL_PAIRS)
def test_only_spaces_are_trimmed(chain, address, around):
    assert refusal(address + around)
    assert refusal(around + address)


def test_every_chain_has_one_row():
    assert sorted(row.chain for row in CHAINS) == sorted(Chain)


@each("address", EIP_55)
def test_three_spellings_of_an_evm_address_are_one_wallet(address):
    upper = "0x" + address[2:].upper()

    assert {recognise(text) for text in (address, address.lower(), upper)} == {
        Wallet(Chain.EVM, address)
    }


@given(st.binary(min_size=20, max_size=20).filter(any))
@settings(deadline=None)
def test_the_canonical_evm_form_is_the_one_of_eth_utils(raw):
    assert recognise("0x" + raw.hex()).address == to_checksum_address(raw)


def test_an_evm_address_of_decimal_digits_alone_has_no_checksum_to_fail():
    address = "0x1234567890123456789012345678901234567890"

    assert recognise(address).address == address


@each("at", [at for at in range(2, 42) if EIP_55[4][at].isalpha()])
def test_a_changed_case_anywhere_fails_the_evm_checksum(at):
    address = EIP_55[4]
    changed = address[:at] + address[at].swapcase() + address[at + 1 :]

    assert refusal(changed) == (
        "The checksum in this EVM address's mixed case does not match, so a character is probably "
        "wrong; all lower case skips this check."
    )


@each(
    ("text", "sentence"),
    [
        ("0x", "An EVM address is 0x and 40 hexadecimal digits; this has 0 digits."),
        (LOWER[:-1], "An EVM address is 0x and 40 hexadecimal digits; this has 39 digits."),
        (LOWER + "0", "An EVM address is 0x and 40 hexadecimal digits; this has 41 digits."),
        (LOWER[2:], "An EVM address begins with 0x, and its x is lower case."),
        ("0X" + LOWER[2:], "An EVM address begins with 0x, and its x is lower case."),
    ],
)
def test_an_evm_address_of_another_shape_is_told_its_own_fault(text, sentence):
    assert refusal(text) == sentence


@each("digit", ["g", "O", " ", "\n", "\u0661", "\uff11", "\ud800", "é"])
def test_an_evm_address_has_only_ascii_hexadecimal_digits(digit):
    expected = (
        "An EVM address is 0x and 40 hexadecimal digits (0-9, a-f); this has another character."
    )

    assert refusal(LOWER[:10] + digit + LOWER[11:]) == expected


@each("text", ["0xWalletAddress", "0XWALLETADDRESS", " 0xwalletaddress "])
def test_the_specifications_placeholder_is_refused_as_one(text):
    assert refusal(text) == (
        "This is the documentation's placeholder: put the client's real address."
    )


@each(
    "text",
    [
        "0x" + "0" * 40,
        Base58Encoder.Encode(bytes(32)),
        Base58Encoder.CheckEncode(bytes(21)),
        Base58Encoder.CheckEncode(b"\x41" + bytes(20)),
    ],
)
def test_a_zero_address_is_nobodys(text):
    assert refusal(text) == (
        "This is the zero address: it belongs to nobody; put the client's own address."
    )


@each(
    "text",
    [
        "0x000000000000000000000000000000000000dEaD",
        "0x000000000000000000000000000000000000dead",
        "0xdead000000000000000000000000000000000000",
        "0x" + "e" * 40,
        "1nc1nerator11111111111111111111111111111111",
        "1BitcoinEaterAddressDontSendf59kuE",
    ],
)
def test_a_burn_address_is_no_clients_wallet(text):
    assert refusal(text) == (
        "This is a burn address: nobody holds its key, so it cannot be a client's wallet."
    )


@each("address", BITCOIN[2:])
def test_bech32_in_upper_case_is_the_same_wallet(address):
    assert recognise(address.upper()) == Wallet(Chain.BITCOIN, address)


@pytest.mark.parametrize("text", [BITCOIN[2].replace("w508", "W508"), "Bc1" + BITCOIN[2][3:]])
def test_bech32_in_mixed_case_is_refused(text):
    assert refusal(text) == "A bc1 address is all lower case or all upper case, never mixed."


@each(
    "text",
    [
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
        "bc1",
        "bc1rw5uspcuh",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLz",
    ],
)
def test_an_invalid_bitcoin_address_of_the_specifications_is_mistyped(text):
    assert refusal(text) == (
        "This looks like a Bitcoin address, but its checksum or length is wrong, "
        "so a character is probably wrong or missing."
    )


@each(
    "text",
    [
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        "BC1SW50QGDZ25J",
        "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
        "bc1pfeessrawgf",
    ],
)
def test_a_witness_program_that_no_wallet_uses_is_refused(text):
    assert refusal(text) == "No wallet uses Bitcoin addresses of this kind; put a usual one."


@each(
    "text",
    [
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "TB1PQQQQP399ET2XYGDJ5XREQHJJVCMZHXW4AYWXECJDZEW6HYLGVSESF3HN0C",
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
        "n3ZddxzLvAY9o7184TB4c6FJasAybsw4HZ",
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
    ],
)
def test_a_testnet_address_is_refused_as_one(text):
    assert refusal(text) == "This is a Bitcoin testnet address: put the mainnet one."


def test_a_mistyped_tron_address_is_told_so():
    assert refusal(TRON[0][:-1] + "u").startswith("This looks like a Tron address, but")


@each("address", BITCOIN[:2] + TRON)
def test_base58_in_another_case_is_another_text(address):
    assert refusal(address.lower())
    assert refusal(address.upper())


@each("text", SECRETS)
def test_a_key_or_a_seed_phrase_is_refused_and_never_quoted(text):
    assert refusal(text) == (
        "This looks like a private key or a seed phrase: never paste one anywhere; "
        "put the wallet's public address."
    )


@each(
    "text",
    [
        "",
        " ",
        "0",
        "\0",
        "\ud800",
        "acme.eth",
        "abandon " * 10 + "about",
        "\u0661" * 40,
        "LKKG9A9a8n7CeHK8Nk7RdNZiCuHZW2U789",
        "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7\u212aV8F3T4",
        Base58Encoder.CheckEncode(b"\x70" + bytes(range(20))),
        Base58Encoder.CheckEncode(b"\x42" + bytes(range(20))),
        Base58Encoder.Encode(b"\x01" * 31),
        Base58Encoder.Encode(b"\x01" * 33),
        TRON[0][:-1],
        "0x" + "a" * 2**20,
        " " * 2**20 + "1" * 2**20,
    ],
)
def test_what_is_no_address_is_told_the_chains_we_take(text):
    assert refusal(text) == (
        "This is not an address of a chain we take: EVM (0x and 40 hexadecimal digits), "
        "Bitcoin (begins with bc1, 1 or 3), Tron (T and 33 characters), "
        "Solana (32 bytes in base58)."
    )


def outcome(text):
    try:
        return recognise(text)
    except WalletError as error:
        return error


def check(text):
    match outcome(text):
        case Wallet() as wallet:
            assert recognise(wallet.address) == wallet
        case error:
            assert error.__cause__ is None
            assert error.__suppress_context__ or error.__context__ is None


@given(st.text(st.characters()))
@settings(deadline=None)
def test_any_text_is_a_wallet_or_a_wallet_error(text):
    check(text)


@pytest.mark.parametrize("row", CHAINS, ids=lambda row: row.chain)
@given(data=st.data())
@settings(deadline=None)
def test_any_text_that_looks_like_an_address_is_a_wallet_or_a_wallet_error(row, data):
    check(data.draw(st.from_regex(row.looks, fullmatch=True)))


@given(REAL_ADDRESSES, st.integers(0, 70), st.integers(0, 2), st.text(st.characters(), max_size=3))
@settings(deadline=None, max_examples=500)
@example(BITCOIN[2], 2, 1, "")
def test_any_mistyped_address_is_a_wallet_or_a_wallet_error(address, at, gone, put):
    check(address[:at] + put + address[at + gone :])


@each("put", ["!", "0OIl", "\n"])
@each(("chain", "address"), REAL_PAIRS)
def test_no_message_quotes_what_was_typed(chain, address, put):
    error = outcome(address[:12] + put + address[14:])

    assert isinstance(error, WalletError)
    assert address[:6] not in str(error)
    assert address[-6:] not in str(error)


@given(
    st.sampled_from([0, 4, 5, 0x41, 0x6F, 0x80, 0xC4]),
    st.binary(min_size=19, max_size=21),
    st.booleans(),
)
@settings(deadline=None)
def test_only_the_right_version_and_length_are_an_address(version, body, is_checked):
    encode = Base58Encoder.CheckEncode if is_checked else Base58Encoder.Encode
    text = encode(bytes([version]) + body + (b"" if is_checked else bytes(4)))
    is_address = is_checked and len(body) == 20 and any(body) and version in {0, 5, 0x41}

    assert isinstance(outcome(text), Wallet) == is_address


def test_the_heavy_libraries_wait_for_the_first_address():
    code = "import sys, pipelabs.wallets; print({'bip_utils', 'eth_utils'} & set(sys.modules))"

    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout == "set()\n"
