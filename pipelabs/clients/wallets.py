"""Detect a wallet's chain from its address, and give each address one canonical form.

`CHAINS` has one row per chain. No message quotes the input: it may be a private key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from Crypto.Hash import keccak

from pipelabs.clients.address_codecs import base58_decode, base58check_decode, segwit_decode
from pipelabs.core.text import PRIVATE_KEY, trim
from pipelabs.models.clients import Chain

HEAD, TAIL = 6, 4
"""Characters at the two ends of an address in its short form."""
_SHORT_FORM = re.compile(
    rf"([0-9A-Za-z]{{{HEAD},}})(?:\u2026|\.{{2,3}})([0-9A-Za-z]{{{TAIL},}})", re.ASCII
)
MAX_LENGTH = 512
"""Longer input is not examined; 25 seed words of 8 letters and a Solana key file are shorter."""

_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_SECRET = re.compile(
    # An Ed25519 pair. Half as many digits are a key, a hash, or an address of Sui or Aptos.
    r"(?i:(?:0x)?[0-9a-f]{128})"
    rf"|[59KLc]{_BASE58}{{50,51}}|6P{_BASE58}{{56}}"  # Bitcoin's WIF and BIP-38, unchecked
    rf"|[t-zU-Z]prv{_BASE58}{{107,108}}"  # BIP-32 and SLIP-132
    rf"|{_BASE58}{{85,88}}|\[(?:\s*\d{{1,3}}\s*,){{31,63}}\s*\d{{1,3}}\s*\]",  # Solana key pairs
    re.ASCII,
)
_PLACEHOLDER = "This is the documentation's placeholder. Enter the client's real address."
_TESTNET = "This is a Bitcoin testnet address. Enter a mainnet address."
_EVM = "An EVM address is 0x and 40 hexadecimal digits"
_ZERO = "This is the zero address, which has no owner. Enter the client's own address."
_BURN = "This is a burn address, which has no owner. Enter the client's own address."
_UNOWNED = {
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
    """The text is not a supported wallet address; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """An address in canonical form, and the chain it is on."""

    chain: Chain
    address: str


@dataclass(frozen=True, slots=True)
class AddressRules:
    """How one chain writes its addresses.

    `canonicalize` gets a text that `pattern` matches as a whole. It returns the canonical form,
    or None if the text belongs to another chain; it raises `WalletError` for an invalid address.
    """

    chain: Chain
    label: str
    hint: str
    pattern: re.Pattern[str]
    canonicalize: Callable[[str], str | None]


def _evm(text: str) -> str:
    """Return the address in EIP-55's mixed case; one case alone has no checksum to check."""
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
    """Return an EVM address in the checksum's case; `digits` are 40 in lower case, without 0x.

    The hash is Keccak-256, which is not SHA3-256. Source: https://eips.ethereum.org/EIPS/eip-55.
    """
    # Not `hexdigest`: it takes twice the time. Of the hash's 64 digits the first 40 are used.
    marks = keccak.new(digest_bits=256, data=digits.encode()).digest().hex()
    places = zip(digits, digits.upper(), marks, strict=False)
    return "0x" + "".join([upper if mark > "7" else lower for lower, upper, mark in places])


def _bitcoin(text: str) -> str | None:
    """Return Base58 unchanged and segwit in lower case.

    Versions: https://en.bitcoin.it/wiki/List_of_address_prefixes.
    """
    if re.match("(?i:bc|tb|bcrt)1", text):
        return _segwit(text)
    match _base58check_version(text, "Bitcoin"):
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
    if not text.lower().startswith("bc1"):
        raise WalletError(_TESTNET)
    if text not in (text.lower(), text.upper()):
        raise WalletError("A bc1 address is all lower case or all upper case, never mixed.")
    try:
        version, program = segwit_decode("bc", text)
    except ValueError:
        raise _checksum_error("Bitcoin") from None
    if (version, len(program)) not in {(0, 20), (0, 32), (1, 32)}:
        raise WalletError("No wallet uses Bitcoin addresses of this kind; use a standard address.")
    return text.lower()


def _tron(text: str) -> str | None:
    """Return the address unchanged (https://developers.tron.network/docs/account)."""
    return text if _base58check_version(text, "Tron") == 0x41 else None


def _solana(text: str) -> str | None:
    """Return the address unchanged (https://solana.com/docs/core/accounts).

    It has no checksum, and a program's address is off the curve, so 32 bytes is the whole rule.
    """
    return text if len(base58_decode(text)) == 32 else None


def _base58check_version(text: str, label: str) -> int | None:
    """Return the version byte before a 20-byte hash, or None if the text has another length."""
    if len(base58_decode(text)) != 25:
        return None
    try:
        return base58check_decode(text)[0]
    except ValueError:
        raise _checksum_error(label) from None


def _checksum_error(label: str) -> WalletError:
    return WalletError(
        f"This looks like a {label} address, but its checksum or length is wrong, "
        "so a character is probably wrong or missing."
    )


_EVM_PATTERN = re.compile(r"(?s:0[xX](?![0-9a-fA-F]{64}\Z).*)|[0-9a-fA-F]{40}")
_BITCOIN_PATTERN = re.compile(f"(?i:bc|tb|bcrt)1[!-~]*|[123mn]{_BASE58}{{25,34}}", re.ASCII)
_TRON_PATTERN = re.compile(f"T{_BASE58}{{33}}")
_SOLANA_PATTERN = re.compile(f"{_BASE58}{{32,44}}")

CHAINS = (
    AddressRules(Chain.EVM, "EVM", "0x and 40 hexadecimal digits", _EVM_PATTERN, _evm),
    AddressRules(Chain.BITCOIN, "Bitcoin", "begins with bc1, 1 or 3", _BITCOIN_PATTERN, _bitcoin),
    AddressRules(Chain.TRON, "Tron", "T and 33 characters", _TRON_PATTERN, _tron),
    AddressRules(Chain.SOLANA, "Solana", "32 bytes in base58", _SOLANA_PATTERN, _solana),
)
"""In the order in which they are tried. Base58 addresses differ by their decoded bytes."""


def shorten(address: str) -> str:
    """Return an address without its middle, as the console shows it: `0x5290…9EE7`."""
    is_short = len(address) <= HEAD + TAIL + 3
    return address if is_short else f"{address[:HEAD]}…{address[-TAIL:]}"


def find_ends(text: str) -> tuple[str, str] | None:
    """Return the two ends that a short form shows, or None. Dots count as an ellipsis."""
    match = _SHORT_FORM.fullmatch(text)
    return (match[1], match[2]) if match else None


def recognise(text: str) -> Wallet:
    """Return the wallet with this address; raise `WalletError`."""
    text = trim(text)
    if len(text) <= MAX_LENGTH:
        if _is_secret(text):
            raise WalletError(PRIVATE_KEY)
        for row in CHAINS:
            if row.pattern.fullmatch(text) and (address := row.canonicalize(text)):
                if address in _UNOWNED:
                    raise WalletError(_UNOWNED[address])
                return Wallet(row.chain, address)
    supported = ", ".join(f"{row.label} ({row.hint})" for row in CHAINS)
    raise WalletError(f"Unsupported address. Supported chains: {supported}.")


def _is_secret(text: str) -> bool:
    words = text.replace(",", " ").split()
    is_phrase = 12 <= len(words) <= 25 and all(word.isalpha() for word in words)
    return is_phrase or _SECRET.fullmatch(text) is not None
