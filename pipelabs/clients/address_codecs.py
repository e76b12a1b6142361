"""Encode and decode the text forms of wallet addresses: Base58Check and segwit.

The small libraries for these are no longer maintained, and the maintained one needs eleven more
packages. The tests check this code against the specifications' vectors and against that library.
"""

import hashlib
from collections.abc import Sequence
from functools import reduce
from operator import xor

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BASE58_DIGITS = {char: digit for digit, char in enumerate(BASE58)}
_BECH32_DIGITS = {char: digit for digit, char in enumerate(BECH32)}

_BECH32_CONSTANT = 1
_BECH32M_CONSTANT = 0x2BC830A3
_BECH32_CHECKSUM = 6  # digits
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
# The generator's terms for each value of the five bits that are shifted out of the remainder.
_REDUCTIONS = [
    reduce(xor, (term for bit, term in enumerate(_GENERATOR) if top >> bit & 1), 0)
    for top in range(32)
]


def base58_encode(data: bytes) -> str:
    """Return `data` in Base58 with Bitcoin's alphabet; each leading zero byte is a 1."""
    number, chars = int.from_bytes(data), []
    while number:
        number, digit = divmod(number, 58)
        chars.append(BASE58[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return BASE58[0] * zeros + "".join(reversed(chars))


def base58_decode(text: str) -> bytes:
    """Return the bytes that `text` encodes; raise `ValueError` for another character."""
    number = 0
    try:
        for char in text:
            number = number * 58 + _BASE58_DIGITS[char]
    except KeyError:
        raise ValueError("not Base58") from None
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def base58check_encode(payload: bytes) -> str:
    """Return `payload` and its checksum of 4 bytes in Base58.

    Source: https://en.bitcoin.it/wiki/Base58Check_encoding.
    """
    return base58_encode(payload + _double_sha256(payload)[:4])


def base58check_decode(text: str) -> bytes:
    """Return the bytes before the checksum; raise `ValueError` if it does not match."""
    data = base58_decode(text)
    payload, checksum = data[:-4], data[-4:]
    if checksum != _double_sha256(payload)[:4]:
        raise ValueError("wrong Base58Check checksum")
    return payload


def segwit_encode(prefix: str, version: int, program: bytes) -> str:
    """Return a witness program's address: Bech32 for version 0 (BIP-173), else Bech32m (BIP-350).

    `prefix` is `bc` on the main network. Version and length are the caller's to check.
    """
    padding = -len(program) * 8 % 5
    number = int.from_bytes(program) << padding
    shifts = range(len(program) * 8 + padding - 5, -1, -5)
    digits = [version, *((number >> shift) & 31 for shift in shifts)]
    checksum = _remainder(prefix, digits + [0] * _BECH32_CHECKSUM) ^ _constant(version)
    digits += [(checksum >> shift) & 31 for shift in range(25, -1, -5)]
    return f"{prefix}1{''.join(BECH32[digit] for digit in digits)}"


def segwit_decode(prefix: str, text: str) -> tuple[int, bytes]:
    """Return the witness version and program of an address; raise `ValueError` if it is invalid."""
    version, *digits = _bech32_digits(prefix, text)
    if _remainder(prefix, [version, *digits]) != _constant(version):
        raise ValueError("wrong Bech32 checksum")
    program = _join_digits(digits[:-_BECH32_CHECKSUM])
    length = len(program)
    if version > 16 or not 2 <= length <= 40 or (version == 0 and length not in {20, 32}):
        raise ValueError("no such witness version or length")
    return version, program


def bech32_decode(prefix: str, text: str) -> bytes:
    """Return the bytes of a Bech32 text without a witness version, as in Cosmos addresses.

    Raise `ValueError` if it is invalid.
    """
    digits = _bech32_digits(prefix, text)
    if _remainder(prefix, digits) != _BECH32_CONSTANT:
        raise ValueError("wrong Bech32 checksum")
    return _join_digits(digits[:-_BECH32_CHECKSUM])


def _bech32_digits(prefix: str, text: str) -> list[int]:
    """Return the digits after the prefix, of which there are more than those of the checksum."""
    lower = text.lower()
    if not text.isascii() or text not in (lower, text.upper()):
        raise ValueError("not ASCII in one case")
    head, data = lower[: len(prefix) + 1], lower[len(prefix) + 1 :]
    if head != f"{prefix}1" or not set(data) <= _BECH32_DIGITS.keys():
        raise ValueError("not Bech32 with this prefix")
    if len(data) <= _BECH32_CHECKSUM:
        raise ValueError("no data")
    return [_BECH32_DIGITS[char] for char in data]


def _join_digits(digits: Sequence[int]) -> bytes:
    """Return the bytes of digits of five bits; raise `ValueError` for a wrong padding."""
    number = 0
    for digit in digits:
        number = number << 5 | digit
    length, padding = divmod(len(digits) * 5, 8)
    if padding > 4 or number & ((1 << padding) - 1):
        raise ValueError("wrong padding")
    return (number >> padding).to_bytes(length)


def _double_sha256(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def _constant(version: int) -> int:
    return _BECH32M_CONSTANT if version else _BECH32_CONSTANT


def _remainder(prefix: str, digits: list[int]) -> int:
    """Return what BIP-173's polynomial checksum leaves over the prefix and the digits."""
    remainder = 1
    codes = prefix.encode()
    for value in (*(code >> 5 for code in codes), 0, *(code & 31 for code in codes), *digits):
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value ^ _REDUCTIONS[remainder >> 25]
    return remainder
