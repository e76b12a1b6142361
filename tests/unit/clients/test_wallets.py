import pytest
from bip_utils import EthAddrDecoder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelabs.clients.address_codecs import base58_encode, base58check_encode
from pipelabs.clients.wallets import CHAINS, Wallet, WalletError, find_ends, recognise, shorten
from pipelabs.models.clients import Chain

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
    base58_encode(bytes(31) + b"\x05"),  # 32 characters and a leading 1, as Bitcoin's have
    base58_encode(bytes(28) + b"\xff\xff\xff\xff"),
]
REAL = {Chain.EVM: EIP_55, Chain.BITCOIN: BITCOIN, Chain.TRON: TRON, Chain.SOLANA: SOLANA}
REAL_PAIRS = [(chain, address) for chain, addresses in REAL.items() for address in addresses]
REAL_ADDRESSES = st.sampled_from([address for _, address in REAL_PAIRS])
LOWER = EIP_55[4].lower()
# The public test vectors of Bitcoin's wiki, BIP-38 and BIP-32.
SECRETS = [
    "ab" * 64,
    "0X" + "ab" * 64,
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK",
    "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617",
    "6PRVWUbkzzsbcVac2qwfssoUJAN1Xhrg6bNk8J7Nzm5H7kxEbn2Nh2ZoGg",
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3"
    "TGtRBeJgk33yuGBxrMPHi",
    base58_encode(bytes(range(1, 65))),
    str(list(range(64))),
    "abandon " * 11 + "about",
    "  " + "Abandon,\n" * 23 + "art ",
    "ábaco " * 14 + "abdomen",
]


def error_message(text):
    with pytest.raises(WalletError) as caught:
        recognise(text)
    return str(caught.value)


def test_every_chain_has_one_row():
    assert sorted(row.chain for row in CHAINS) == sorted(Chain)


def test_a_valid_address_is_recognised_with_its_chain():
    for chain, address in REAL_PAIRS:
        assert recognise(address) == Wallet(chain, address)


def test_invisible_characters_around_an_address_are_trimmed():
    for chain, address in REAL_PAIRS:
        for invisible in (" ", "\t", "\n", "\u00a0", "\u200b"):
            assert recognise(f"{invisible}{address}{invisible}") == Wallet(chain, address)


def test_no_other_characters_around_an_address_are_trimmed():
    for _, address in REAL_PAIRS:
        for char in ("\0", "\x1b", "\ud800", "\ue000"):
            assert error_message(address + char)
            assert error_message(char + address)


def test_an_evm_address_in_lower_upper_or_mixed_case_is_one_wallet():
    for address in EIP_55:
        for text in (address, address.lower(), "0x" + address[2:].upper()):
            assert recognise(text) == Wallet(Chain.EVM, address)


@given(st.binary(min_size=20, max_size=20).filter(any))
@settings(deadline=None)
def test_the_case_of_any_evm_address_is_the_one_bip_utils_accepts(raw):
    address = recognise("0x" + raw.hex()).address

    assert EthAddrDecoder.DecodeAddr(address) == raw
    assert address.lower() == f"0x{raw.hex()}"


def test_an_evm_address_of_decimal_digits_alone_has_no_checksum_to_fail():
    address = "0x1234567890123456789012345678901234567890"

    assert recognise(address).address == address


def test_an_evm_address_with_the_case_of_one_letter_changed_fails_its_checksum():
    address = EIP_55[4]

    for at in range(2, 42):
        if address[at].isalpha():
            changed = address[:at] + address[at].swapcase() + address[at + 1 :]
            assert error_message(changed) == (
                "The checksum in this EVM address's mixed case does not match, so a character is "
                "probably wrong; all lower case skips this check."
            )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0x", "An EVM address is 0x and 40 hexadecimal digits; this has 0 digits."),
        (LOWER[:-1], "An EVM address is 0x and 40 hexadecimal digits; this has 39 digits."),
        (LOWER + "0", "An EVM address is 0x and 40 hexadecimal digits; this has 41 digits."),
        (LOWER[2:], "An EVM address begins with 0x, and its x is lower case."),
        ("0X" + LOWER[2:], "An EVM address begins with 0x, and its x is lower case."),
    ],
)
def test_a_malformed_evm_address_gets_its_own_message(text, sentence):
    assert error_message(text) == sentence


def test_an_evm_address_has_only_ascii_hexadecimal_digits():
    for digit in ("g", "O", " ", "\n", "\u0661", "\uff11", "\ud800", "é"):
        assert error_message(LOWER[:10] + digit + LOWER[11:]) == (
            "An EVM address is 0x and 40 hexadecimal digits (0-9, a-f); this has another character."
        )


def test_the_placeholder_of_the_specification_is_rejected():
    for text in ("0xWalletAddress", "0XWALLETADDRESS", " 0xwalletaddress "):
        assert error_message(text) == (
            "This is the documentation's placeholder. Enter the client's real address."
        )


def test_a_zero_address_is_rejected():
    for text in (
        "0x" + "0" * 40,
        base58_encode(bytes(32)),
        base58check_encode(bytes(21)),
        base58check_encode(b"\x41" + bytes(20)),
    ):
        assert error_message(text) == (
            "This is the zero address, which has no owner. Enter the client's own address."
        )


def test_a_burn_address_is_rejected():
    for text in (
        "0x000000000000000000000000000000000000dEaD",
        "0x000000000000000000000000000000000000dead",
        "0xdead000000000000000000000000000000000000",
        "0x" + "e" * 40,
        "1nc1nerator11111111111111111111111111111111",
        "1BitcoinEaterAddressDontSendf59kuE",
    ):
        assert error_message(text) == (
            "This is a burn address, which has no owner. Enter the client's own address."
        )


def test_a_segwit_address_in_upper_case_is_the_same_wallet():
    for address in BITCOIN[2:]:
        assert recognise(address.upper()) == Wallet(Chain.BITCOIN, address)


def test_a_segwit_address_in_mixed_case_is_rejected():
    for text in (BITCOIN[2].replace("w508", "W508"), "Bc1" + BITCOIN[2][3:]):
        assert (
            error_message(text) == "A bc1 address is all lower case or all upper case, never mixed."
        )


def test_an_invalid_bitcoin_address_has_a_wrong_checksum_or_length():
    for text in (
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
    ):
        assert error_message(text) == (
            "This looks like a Bitcoin address, but its checksum or length is wrong, "
            "so a character is probably wrong or missing."
        )


def test_a_witness_program_that_no_wallet_uses_is_rejected():
    for text in (
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        "BC1SW50QGDZ25J",
        "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
        "bc1pfeessrawgf",
    ):
        assert (
            error_message(text)
            == "No wallet uses Bitcoin addresses of this kind; use a standard address."
        )


def test_a_bitcoin_testnet_address_is_rejected():
    for text in (
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "TB1PQQQQP399ET2XYGDJ5XREQHJJVCMZHXW4AYWXECJDZEW6HYLGVSESF3HN0C",
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
        "n3ZddxzLvAY9o7184TB4c6FJasAybsw4HZ",
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
    ):
        assert error_message(text) == "This is a Bitcoin testnet address. Enter a mainnet address."


def test_a_tron_address_with_a_wrong_checksum_is_rejected():
    assert error_message(TRON[0][:-1] + "u").startswith("This looks like a Tron address, but")


def test_a_base58_address_in_another_case_is_rejected():
    for address in BITCOIN[:2] + TRON:
        assert error_message(address.lower())
        assert error_message(address.upper())


def test_a_private_key_or_seed_phrase_is_rejected_and_not_quoted():
    for text in SECRETS:
        assert error_message(text) == (
            "This looks like a private key or a seed phrase. Never paste one anywhere. "
            "Enter the wallet's public address."
        )


def test_the_message_for_an_unsupported_address_lists_the_chains():
    for text in (
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
        base58check_encode(b"\x70" + bytes(range(20))),
        base58check_encode(b"\x42" + bytes(range(20))),
        base58_encode(b"\x01" * 31),
        base58_encode(b"\x01" * 33),
        TRON[0][:-1],
        # A private key, a transaction hash, or an address of Sui or Aptos.
        "ab" * 32,
        "AB" * 32,
        "0x" + "ab" * 32,
        "0X" + "AB" * 32,
        "0x" + "a" * 2**20,
        " " * 2**20 + "1" * 2**20,
    ):
        assert error_message(text) == (
            "Unsupported address. Supported chains: EVM (0x and 40 hexadecimal digits), "
            "Bitcoin (begins with bc1, 1 or 3), Tron (T and 33 characters), "
            "Solana (32 bytes in base58)."
        )


def result(text):
    try:
        return recognise(text)
    except WalletError as error:
        return error


def check(text):
    """Check that the result is canonical, or an error that holds no other error with the input."""
    match result(text):
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
def test_any_text_of_a_chains_pattern_is_a_wallet_or_a_wallet_error(row, data):
    check(data.draw(st.from_regex(row.pattern, fullmatch=True)))


@given(REAL_ADDRESSES, st.integers(0, 70), st.integers(0, 2), st.text(st.characters(), max_size=3))
@settings(deadline=None, max_examples=500)
@example(BITCOIN[2], 2, 1, "")
def test_any_mistyped_address_is_a_wallet_or_a_wallet_error(address, at, removed, added):
    check(address[:at] + added + address[at + removed :])


def test_no_message_quotes_the_input():
    for _, address in REAL_PAIRS:
        for wrong in ("!", "0OIl", "\n"):
            message = error_message(address[:12] + wrong + address[14:])
            assert address[:6] not in message
            assert address[-6:] not in message


@given(
    st.sampled_from([0, 4, 5, 0x41, 0x6F, 0x80, 0xC4]),
    st.binary(min_size=19, max_size=21),
    st.booleans(),
)
@settings(deadline=None)
def test_base58check_needs_a_supported_version_and_a_20_byte_hash(version, body, is_checked):
    encode = base58check_encode if is_checked else base58_encode
    text = encode(bytes([version]) + body + (b"" if is_checked else bytes(4)))
    is_address = is_checked and len(body) == 20 and any(body) and version in {0, 5, 0x41}

    assert isinstance(result(text), Wallet) == is_address


def test_short_form_shows_the_ends_of_an_address_and_is_read_back():
    for address in EIP_55 + BITCOIN + TRON + SOLANA:
        short = shorten(address)
        ends = (address[:6], address[-4:])
        assert short == "…".join(ends)
        assert find_ends(short) == find_ends("...".join(ends)) == find_ends("..".join(ends)) == ends
    assert shorten("0x12345678901") == "0x12345678901"
    for text in ("0x5290", "0x52…9EE7", "0x5290…E7", "0x5290.9EE7", "0x5290…%%%%", "a b…9EE7", ""):
        assert find_ends(text) is None
