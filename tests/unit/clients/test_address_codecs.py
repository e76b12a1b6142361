import pytest
from bip_utils import (
    Base58Decoder,
    Base58Encoder,
    SegwitBech32Decoder,
    SegwitBech32Encoder,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.clients.address_codecs import (
    BASE58,
    BECH32,
    base58_decode,
    base58_encode,
    base58check_decode,
    base58check_encode,
    segwit_decode,
    segwit_encode,
)

# https://github.com/bitcoin/bitcoin, src/test/data/base58_encode_decode.json
BASE58_VECTORS = {
    "": "",
    "61": "2g",
    "626262": "a3gV",
    "636363": "aPEr",
    "73696d706c792061206c6f6e6720737472696e67": "2cFupjhnEsSn59qHXstmK2ffpLv2",
    "00eb15231dfceb60925886b67d065299925915aeb172c06647": "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L",
    "516b6fcd0f": "ABnLTmg",
    "bf4f89001e670274dd": "3SEo3LWLoPntC",
    "572e4794": "3EFU7m",
    "ecac89cad93923c02321": "EJDM8drfXA6uyA",
    "10c8511e": "Rt5zm",
    "00" * 10: "1" * 10,
    "00" * 39 + "01": "1" * 39 + "2",
    "000111d38e5fc9071ffcd20b4a763cc9ae4f252bb4e48fd66a835e252ada93ff480d6dd43dc62a641155a5": (
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    ),
    "271f359e": "zzzzy",
    "271f359f": "zzzzz",
    "271f35a0": "211111",
    "271f35a1": "211112",
}
# The same repository, src/test/data/key_io_valid.json: version byte and hash.
BASE58CHECK_VECTORS = {
    "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo": "00a31c06bd463e3923bc1aadbde48b16976c080717",
    "36j4NfKv6Akva9amjWrLG6MuSQym1GuEmm": "05373b819a068f32b7a6b38b6b38729647cfde01c2",
    "mzK2FFDEhxqHcmrJw1ysqFkVyhUULo45hZ": "6fce28b26c57472737f5c3561a1761185bd8589a43",
    "2NC2hEhe28ULKAJkW5MjZ3jtTMJdvXmByvK": "c4ce0bba75891ff9ec60148d4bd4a09ee2dc5c9331",
    "1FjL87pn8ky6Vbavd1ZHeChRXtoxwRGCRd": "00a19331b7b2627e663e25a7b001e4c0dcc5e21bc7",
    "3BZECeAH8gSKkjrTx8PwMrNQBLG18yHpvf": "056c382dcdf5b284760c8e3fead91f7422cd76aa87",
}
# BIP-350, which holds BIP-173's for version 0: the script that each address stands for.
SEGWIT_VECTORS = {
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7": (
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"
    ),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": (
        "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"
    ),
    "BC1SW50QGDZ25J": "6002751e",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": "5210751e76e8199196d454941c45d1b3a323",
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": (
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    ),
}
INVALID_SEGWIT = [
    # BIP-173
    "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2",
    "bc1rw5uspcuh",
    "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7",
    "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3pjxtptv",
    "bc1gmk9yu",
    # BIP-173's valid ones of version 1 and above, which BIP-350 made invalid
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx",
    "BC1SW50QA3JX3S",
    "bc1zw508d6qejxtdg4y5r3zarvaryvg6kdaj",
    # BIP-350
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
    # Not ASCII, though it is after `lower`
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7\u212aV8F3T4",
    "",
    "bc1",
]
# https://eips.ethereum.org/EIPS/eip-55
PREFIXES = st.sampled_from(["bc", "tb", "bcrt"])
VERSIONS = st.integers(0, 16)


def result(function, *arguments):
    """Return the function's result, or ValueError if that is what it raised."""
    try:
        return function(*arguments)
    except ValueError:
        return ValueError


def script(version, program):
    return bytes([version + 0x50 if version else 0, len(program)]) + program


def test_base58_vectors_of_bitcoin_core():
    for data, text in BASE58_VECTORS.items():
        assert base58_encode(bytes.fromhex(data)) == text
        assert base58_decode(text).hex() == data


def test_base58check_vectors_of_bitcoin_core():
    for text, payload in BASE58CHECK_VECTORS.items():
        assert base58check_encode(bytes.fromhex(payload)) == text
        assert base58check_decode(text).hex() == payload


def test_segwit_vectors_of_bip_173_and_bip_350():
    for text, expected in SEGWIT_VECTORS.items():
        prefix = text.lower().partition("1")[0]

        version, program = segwit_decode(prefix, text)

        assert script(version, program).hex() == expected
        assert segwit_encode(prefix, version, program) == text.lower()


def test_segwit_decode_rejects_every_invalid_vector():
    for text in INVALID_SEGWIT:
        for prefix in ("bc", "tb"):
            assert result(segwit_decode, prefix, text) is ValueError, text


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_base58_encodes_any_bytes_as_bip_utils_does(data):
    assert base58_encode(data) == Base58Encoder.Encode(data)
    assert base58check_encode(data) == Base58Encoder.CheckEncode(data)
    assert base58_decode(base58_encode(data)) == data
    assert base58check_decode(base58check_encode(data)) == data


@given(st.text(BASE58, max_size=60) | st.text(max_size=8))
@settings(deadline=None)
def test_base58_decodes_any_text_as_bip_utils_does(text):
    assert result(base58_decode, text) == result(Base58Decoder.Decode, text)


@given(st.binary(min_size=21, max_size=21), st.integers(0, 24), st.integers(1, 255))
@settings(deadline=None)
def test_base58check_decode_detects_a_changed_byte(payload, at, change):
    data = bytearray(base58_decode(base58check_encode(payload)))
    data[at] ^= change

    with pytest.raises(ValueError, match="checksum"):
        base58check_decode(base58_encode(bytes(data)))


@given(PREFIXES, VERSIONS, st.binary(min_size=2, max_size=40))
@settings(deadline=None)
def test_segwit_encodes_any_program_as_bip_utils_does(prefix, version, program):
    text = segwit_encode(prefix, version, program)

    assert text == SegwitBech32Encoder.Encode(prefix, version, program)
    for case in (text, text.upper()):
        expected = result(SegwitBech32Decoder.Decode, prefix, case)
        assert result(segwit_decode, prefix, case) == expected


@given(PREFIXES, VERSIONS, st.binary(min_size=20, max_size=32), st.data())
@settings(deadline=None)
def test_segwit_decode_detects_one_to_four_changed_characters(prefix, version, program, data):
    text = segwit_encode(prefix, version, program)
    # After the version: it chooses between two checksums, and then four are not guaranteed.
    places = st.integers(len(prefix) + 2, len(text) - 1)
    chars = list(text)
    for at in data.draw(st.sets(places, min_size=1, max_size=4)):
        chars[at] = data.draw(st.sampled_from(BECH32.replace(chars[at], "")))

    assert result(segwit_decode, prefix, "".join(chars)) is ValueError
