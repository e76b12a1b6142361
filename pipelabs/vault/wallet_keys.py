"""API keys that are keys of a wallet: what they look like, and which is the account's own.

An exchange without accounts of its own has its users sign with a key. One that was created for
trading can't withdraw, whereas the wallet's own key can. `RULES` has what each exchange documents.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from Crypto.Hash import RIPEMD160, keccak
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pipelabs.clients.address_codecs import base58_decode, bech32_decode
from pipelabs.clients.wallets import WalletError, recognise
from pipelabs.models.clients import Chain
from pipelabs.vault.envelope import Secret

SAME_ADDRESS = "address of the key = account"
WALLET_KEY = "key of a wallet"
OWN_KEY_EVIDENCE = frozenset({SAME_ADDRESS, WALLET_KEY})
HEX_KEY = re.compile("(?:0x)?([0-9a-fA-F]{64})", re.ASCII)
STARK_KEY = re.compile("0x([0-9a-fA-F]{56,64})", re.ASCII)
"""Leading zeros are left out, but never many."""
STARK_ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
"""Order of Starknet's curve: https://docs.starkware.co/starkex/crypto/stark-curve.html."""
STARK_ADDRESS = re.compile("0x[0-9a-fA-F]{56,64}", re.ASCII)
BASE64_KEY = re.compile("[0-9A-Za-z+/]{43}=", re.ASCII)
LIGHTER_KEY = re.compile("(?:0x)?[0-9a-fA-F]{80}", re.ASCII)
NUMBER = re.compile("[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Form:
    """What a credential looks like, and the error of another text, which does not quote it."""

    accepts: Callable[[str], object]
    error: str


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The forms of an exchange's credentials, and how to tell the account's own key.

    `find_evidence` returns why the credentials are the account's own, or None if they are not or
    if that can't be told. `has_trading_keys` is whether an account can have other keys.
    """

    forms: Mapping[str, Form]
    find_evidence: Callable[[Mapping[str, Secret]], str | None] = lambda _: None
    has_trading_keys: bool = True


def find_form_errors(exchange: str, credentials: Mapping[str, Secret]) -> dict[str, list[str]]:
    """Return the errors of credentials that can't be a key of the exchange; none quotes them."""
    rules = RULES.get(exchange)
    forms = rules.forms if rules else {}
    return {
        name: [form.error]
        for name, form in forms.items()
        if not form.accepts(credentials[name].text)
    }


def find_own_key(exchange: str, credentials: Mapping[str, Secret]) -> str | None:
    """Return why the key is that of the account itself, which can do everything, or None.

    A key that was stored when the exchange had other fields has no answer.
    """
    rules = RULES.get(exchange)
    if not rules or not rules.forms.keys() <= credentials.keys():
        return None
    return rules.find_evidence(credentials)


def has_trading_keys(exchange: str) -> bool:
    """Return whether the exchange has keys that can trade but not withdraw."""
    return exchange not in RULES or RULES[exchange].has_trading_keys


def _compare(
    address_of: Callable[[str], str | None],
    account_of: Callable[[str], str | None],
    credentials: Mapping[str, Secret],
) -> str | None:
    address = address_of(credentials["private_key"].text)
    is_same = address is not None and address == account_of(credentials["wallet_address"].text)
    return SAME_ADDRESS if is_same else None


def _evm_address(text: str) -> str | None:
    """Return the EVM address of a secp256k1 key, or None if it is none."""
    if not (key := _secp256k1_key(text)):
        return None
    numbers = key.public_key().public_numbers()
    point = numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    digest = keccak.new(digest_bits=256, data=point).digest()
    return _evm_account(f"0x{digest[-20:].hex()}")


def _evm_account(text: str) -> str | None:
    try:
        wallet = recognise(text)
    except WalletError:
        return None
    return wallet.address if wallet.chain is Chain.EVM else None


def _paradex_account(text: str) -> str | None:
    """Return the EVM address of the owner, or the account's own address on Paradex's chain."""
    return _evm_account(text) or (text if STARK_ADDRESS.fullmatch(text) else None)


def _dydx_address(text: str) -> str | None:
    """Return the hash of a secp256k1 key in hex, as addresses of the Cosmos SDK have it.

    https://docs.cosmos.network/sdk/latest/spec/addresses/bech32.
    """
    if not (key := _secp256k1_key(text)):
        return None
    numbers = key.public_key().public_numbers()
    compressed = bytes([2 + numbers.y % 2]) + numbers.x.to_bytes(32)
    return RIPEMD160.new(sha256(compressed).digest()).hexdigest()


def _dydx_account(text: str) -> str | None:
    try:
        data = bech32_decode("dydx", text)
    except ValueError:
        return None
    return data.hex() if len(data) == 20 else None


def _secp256k1_key(text: str) -> ec.EllipticCurvePrivateKey | None:
    if not (match := HEX_KEY.fullmatch(text)):
        return None
    try:
        return ec.derive_private_key(int(match[1], 16), ec.SECP256K1())
    except ValueError:  # zero, or not below the order of the curve
        return None


def _is_stark_key(text: str) -> bool:
    match = STARK_KEY.fullmatch(text)
    return match is not None and 0 < int(match[1], 16) < STARK_ORDER


def _is_solana_pair(text: str) -> bool:
    """Return whether the text is a private key and its public key in Base58."""
    try:
        data = base58_decode(text)
    except ValueError:
        return False
    if len(data) != 64:
        return False
    public = Ed25519PrivateKey.from_private_bytes(data[:32]).public_key()
    return public.public_bytes_raw() == data[32:]


def _is_ed25519_pem(text: str) -> bool:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, Ed25519PrivateKey)


EVM_KEY = Form(
    _secp256k1_key,
    "Must be 64 hexadecimal digits, as the exchange shows them for an API wallet.",
)
EVM_ACCOUNT = Form(_evm_account, "Must be the EVM address of the account.")
EVM = KeyRules(
    {"private_key": EVM_KEY, "wallet_address": EVM_ACCOUNT},
    partial(_compare, _evm_address, _evm_account),
)
EVM_WITHOUT_ACCOUNT = KeyRules({"private_key": EVM_KEY})
RULES: Mapping[str, KeyRules] = {
    # https://github.com/asterdex/api-docs: an API wallet signs for the account, which is not
    # among the credentials, so its own key can't be told.
    "aster": EVM_WITHOUT_ACCOUNT,
    # https://docs.derive.xyz/reference/session-keys
    "derive": EVM,
    # https://docs.dydx.xyz/concepts/trading/authenticators
    "dydx": KeyRules(
        {
            "private_key": Form(_secp256k1_key, "Must be 64 hexadecimal digits."),
            "wallet_address": Form(
                _dydx_account, "Must be a dYdX address, which begins with dydx1."
            ),
        },
        partial(_compare, _dydx_address, _dydx_account),
    ),
    # https://api.docs.extended.exchange/#authentication: a Stark key for each account
    "extended": KeyRules(
        {
            "private_key": Form(
                _is_stark_key,
                "Must be 0x and up to 64 hexadecimal digits, as the exchange shows them for a Stark"
                " key.",
            )
        }
    ),
    # https://api-docs.grvt.io: the account is not among the credentials
    "grvt": EVM_WITHOUT_ACCOUNT,
    # https://api-doc.hibachi.xyz: Base64 where Hibachi keeps the account, else digits
    "hibachi": KeyRules(
        {
            "account_id": Form(NUMBER.fullmatch, "Must be a number."),
            "private_key": Form(
                lambda text: BASE64_KEY.fullmatch(text) or _secp256k1_key(text),
                "Must be 64 hexadecimal digits, or 44 characters in Base64.",
            ),
        }
    ),
    # https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/nonces-and-api-wallets
    "hyperliquid": EVM,
    # https://apidocs.lighter.xyz/docs/api-keys: 40 bytes. A wallet's own key has 32.
    "lighter": KeyRules(
        {
            "private_key": Form(
                lambda text: LIGHTER_KEY.fullmatch(text) or _secp256k1_key(text),
                "Must be 80 hexadecimal digits, as the exchange shows them for an API key.",
            )
        },
        lambda credentials: (
            WALLET_KEY if HEX_KEY.fullmatch(credentials["private_key"].text) else None
        ),
    ),
    # https://docs.nado.xyz/developer-resources/api/gateway/executes/link-signer
    "nado": EVM,
    # https://docs.pacifica.fi/api-documentation/api/signing/api-agent-keys
    "pacifica": KeyRules(
        {
            "private_key": Form(
                _is_solana_pair,
                "Must be a Solana key in Base58, as the exchange shows it for an agent wallet.",
            )
        }
    ),
    # https://docs.paradex.trade/trading/api-authentication: subkeys can't withdraw
    "paradex": KeyRules(
        {
            "private_key": Form(
                lambda text: _is_stark_key(text) or _secp256k1_key(text),
                "Must be 0x and up to 64 hexadecimal digits, as the exchange shows them for a"
                " subkey.",
            ),
            "wallet_address": Form(
                _paradex_account, "Must be the EVM or the Paradex address of the account."
            ),
        },
        partial(_compare, _evm_address, _evm_account),
    ),
    # https://docs.polymarket.com/api-reference/authentication: the wallet's key signs each order
    "polymarket": KeyRules(
        {"private_key": Form(_secp256k1_key, "Must be 64 hexadecimal digits.")},
        lambda _: WALLET_KEY,
        has_trading_keys=False,
    ),
    # https://developer.revolut.com/docs/guides/revolut-x/get-started
    "revolutx": KeyRules(
        {
            "private_key": Form(
                _is_ed25519_pem, "Must be an Ed25519 private key in PEM format, without a password."
            )
        }
    ),
}
