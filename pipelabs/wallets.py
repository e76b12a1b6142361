"""Tell a wallet's chain from its address, and give every spelling of it one canonical form.

One row a chain in `CHAINS`. No message quotes what was typed: it may be a private key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelabs.models.clients import Chain

MAX_TYPED = 512
"""Nothing longer is looked at; 25 seed words of 8 letters and a Solana key file are below it."""

_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_SECRET = re.compile(
    r"(?i:(?:0x)?(?:[0-9a-f]{64}){1,2})"  # a raw key, or an Ed25519 pair
    rf"|[59KLc]{_BASE58}{{50,51}}|6P{_BASE58}{{56}}"  # Bitcoin's WIF and BIP-38, mistyped or not
    rf"|[t-zU-Z]prv{_BASE58}{{107,108}}"  # BIP-32 and SLIP-132
    rf"|{_BASE58}{{85,88}}|\[(?:\s*\d{{1,3}}\s*,){{31,63}}\s*\d{{1,3}}\s*\]",  # Solana key pairs
    re.ASCII,
)
_KEY_PASTED = (
    "This looks like a private key or a seed phrase: never paste one anywhere; "
    "put the wallet's public address."
)
_PLACEHOLDER = "This is the documentation's placeholder: put the client's real address."
_TESTNET = "This is a Bitcoin testnet address: put the mainnet one."
_EVM = "An EVM address is 0x and 40 hexadecimal digits"
_ZERO = "This is the zero address: it belongs to nobody; put the client's own address."
_BURN = "This is a burn address: nobody holds its key, so it cannot be a client's wallet."
_NOBODYS = {
    "0x0000000000000000000000000000000000000000": _ZERO,
    "0x000000000000000000000000000000000000dEaD": _BURN,
    "0xdEad000000000000000000000000000000000000": _BURN,
    "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE": _BURN,  # stands for ether itself in contracts
    "11111111111111111111111111111111": _ZERO,  # Solana's System Program
    "1nc1nerator11111111111111111111111111111111": _BURN,
    "1111111111111111111114oLvT2": _ZERO,
    "1BitcoinEaterAddressDontSendf59kuE": _BURN,
    "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb": _ZERO,
}


class WalletError(ValueError):
    """The text is not a wallet we take; the message is one sentence the caller may read."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """An address in canonical form, and the chain it is on."""

    chain: Chain
    address: str


@dataclass(frozen=True, slots=True)
class AddressRules:
    """How one chain writes its addresses.

    `canonical` is asked when `looks` matches the whole text. It answers None where the text is
    not this chain's after all, and raises `WalletError` where it is, but is wrong.
    """

    chain: Chain
    label: str
    hint: str
    looks: re.Pattern[str]
    canonical: Callable[[str], str | None]


def _evm(text: str) -> str:
    """Return the EIP-55 spelling (https://eips.ethereum.org/EIPS/eip-55)."""
    digits = text[2:]
    if text.lower() == "0xwalletaddress":
        raise WalletError(_PLACEHOLDER)
    if not text.startswith("0x"):
        raise WalletError("An EVM address begins with 0x, and its x is lower case.")
    if not re.fullmatch("[0-9a-fA-F]*", digits):
        raise WalletError(f"{_EVM} (0-9, a-f); this has another character.")
    if len(digits) != 40:
        raise WalletError(f"{_EVM}; this has {len(digits)} digits.")
    address = _eip55(digits.lower())
    if text != address and digits not in (digits.lower(), digits.upper()):
        raise WalletError(
            "The checksum in this EVM address's mixed case does not match, so a character is "
            "probably wrong; all lower case skips this check."
        )
    return address


def _eip55(digits: str) -> str:
    # Imported here for weight: 0.2 to 0.7 s and 25 MB a worker.
    from eth_utils.crypto import keccak  # noqa: PLC0415  weight

    # These are `to_checksum_address`'s own steps in a third of its time: 16 µs, not 52.
    marks = keccak(digits.encode()).hex()  # of its 64 digits EIP-55 uses the first 40
    pairs = zip(digits, marks, strict=False)
    return "0x" + "".join(digit.upper() if mark > "7" else digit for digit, mark in pairs)


def _bitcoin(text: str) -> str | None:
    """Return base58 as typed and segwit in lower case.

    Versions: https://en.bitcoin.it/wiki/List_of_address_prefixes.
    """
    if re.match("(?i:bc|tb|bcrt)1", text):
        return _segwit(text)
    match _version(text, "Bitcoin"):
        case 0x00 | 0x05:
            return text
        case 0x6F | 0xC4:
            raise WalletError(_TESTNET)
        case _:
            return None


def _segwit(text: str) -> str:
    """Return the lower-case spelling of a bech32 (version 0) or bech32m address.

    Rules: https://github.com/bitcoin/bips, bip-0173.mediawiki and bip-0350.mediawiki.
    """
    # Imported here for weight: 0.2 to 0.8 s and 21 MB a worker.
    from bip_utils import Bech32ChecksumError, SegwitBech32Decoder  # noqa: PLC0415  weight

    if not text.lower().startswith("bc1"):
        raise WalletError(_TESTNET)
    if text not in (text.lower(), text.upper()):
        raise WalletError("A bc1 address is all lower case or all upper case, never mixed.")
    try:
        version, program = SegwitBech32Decoder.Decode("bc", text)
    except (Bech32ChecksumError, ValueError):
        raise _mistyped("Bitcoin") from None  # the library's words quote the text
    if (version, len(program)) not in {(0, 20), (0, 32), (1, 32)}:
        raise WalletError("No wallet uses Bitcoin addresses of this kind; put a usual one.")
    return text.lower()


def _tron(text: str) -> str | None:
    """Return the address as typed (https://developers.tron.network/docs/account)."""
    return text if _version(text, "Tron") == 0x41 else None


def _solana(text: str) -> str | None:
    """Return the address as typed (https://solana.com/docs/core/accounts).

    It has no checksum, and programs' addresses are off the curve: 32 bytes is the whole rule.
    """
    return text if len(_base58(text)) == 32 else None


def _version(text: str, label: str) -> int | None:
    """Return the version byte before a hash of 20 bytes; None if the length tells of another."""
    from bip_utils import Base58ChecksumError, Base58Decoder  # noqa: PLC0415  weight

    if len(_base58(text)) != 25:
        return None
    try:
        return int(Base58Decoder.CheckDecode(text)[0])
    except Base58ChecksumError:
        raise _mistyped(label) from None


def _base58(text: str) -> bytes:
    from bip_utils import Base58Decoder  # noqa: PLC0415  weight

    return bytes(Base58Decoder.Decode(text))


def _mistyped(label: str) -> WalletError:
    return WalletError(
        f"This looks like a {label} address, but its checksum or length is wrong, "
        "so a character is probably wrong or missing."
    )


_LOOKS_EVM = re.compile("(?s:0[xX].*)|[0-9a-fA-F]{40}")
_LOOKS_BITCOIN = re.compile(f"(?i:bc|tb|bcrt)1[!-~]*|[123mn]{_BASE58}{{25,34}}", re.ASCII)
_LOOKS_TRON = re.compile(f"T{_BASE58}{{33}}")
_LOOKS_SOLANA = re.compile(f"{_BASE58}{{32,44}}")

CHAINS = (
    AddressRules(Chain.EVM, "EVM", "0x and 40 hexadecimal digits", _LOOKS_EVM, _evm),
    AddressRules(Chain.BITCOIN, "Bitcoin", "begins with bc1, 1 or 3", _LOOKS_BITCOIN, _bitcoin),
    AddressRules(Chain.TRON, "Tron", "T and 33 characters", _LOOKS_TRON, _tron),
    AddressRules(Chain.SOLANA, "Solana", "32 bytes in base58", _LOOKS_SOLANA, _solana),
)
"""In the order they are asked; base58 is told apart by what it decodes to, not by the order."""


def recognise(text: str) -> Wallet:
    """Return the wallet that `text` spells, spaces around it aside; raise `WalletError` if none."""
    text = text.strip(" ")
    if len(text) <= MAX_TYPED:
        if _is_secret(text):
            raise WalletError(_KEY_PASTED)
        for row in CHAINS:
            if row.looks.fullmatch(text) and (address := row.canonical(text)):
                if address in _NOBODYS:
                    raise WalletError(_NOBODYS[address])
                return Wallet(row.chain, address)
    known = ", ".join(f"{row.label} ({row.hint})" for row in CHAINS)
    raise WalletError(f"This is not an address of a chain we take: {known}.")


def _is_secret(text: str) -> bool:
    words = text.replace(",", " ").split()
    is_phrase = 12 <= len(words) <= 25 and all(word.isalpha() for word in words)
    return is_phrase or _SECRET.fullmatch(text) is not None
