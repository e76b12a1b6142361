"""API keys that are keys of a wallet: what they look like, and which is the account's own.

At Hyperliquid an API wallet signs orders and can't withdraw, whereas the account's own key can:
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/nonces-and-api-wallets.
"""

import re
from collections.abc import Mapping

from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric import ec

from pipelabs.clients.wallets import WalletError, recognise
from pipelabs.models.clients import Chain
from pipelabs.vault.envelope import Secret

EVM_EXCHANGES = frozenset({"hyperliquid"})
"""Exchanges whose keys are a private key of an EVM wallet and the address of the account."""
PRIVATE_KEY = re.compile("(?:0x)?([0-9a-fA-F]{64})", re.ASCII)
NOT_A_KEY = "Must be 64 hexadecimal digits, as the exchange shows them for an API wallet."
NOT_AN_ADDRESS = "Must be the EVM address of the account."


def find_form_errors(exchange: str, credentials: Mapping[str, Secret]) -> dict[str, list[str]]:
    """Return the errors of credentials that can't be a key of the exchange; none quotes them."""
    if exchange not in EVM_EXCHANGES:
        return {}
    errors = {}
    if _address_of_key(credentials["private_key"].text) is None:
        errors["private_key"] = [NOT_A_KEY]
    if _address_of_account(credentials["wallet_address"].text) is None:
        errors["wallet_address"] = [NOT_AN_ADDRESS]
    return errors


def is_own_key(exchange: str, credentials: Mapping[str, Secret]) -> bool:
    """Return whether the private key is that of the account itself, which can do everything."""
    if exchange not in EVM_EXCHANGES:
        return False
    address = _address_of_key(credentials["private_key"].text)
    return address is not None and address == _address_of_account(
        credentials["wallet_address"].text
    )


def _address_of_key(text: str) -> str | None:
    """Return the address of a secp256k1 key, or None if it is none."""
    match = PRIVATE_KEY.fullmatch(text)
    if not match:
        return None
    try:
        public = ec.derive_private_key(int(match[1], 16), ec.SECP256K1()).public_key()
    except ValueError:  # zero, or not below the order of the curve
        return None
    numbers = public.public_numbers()
    point = numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    digest = keccak.new(digest_bits=256, data=point).digest()
    return _address_of_account(f"0x{digest[-20:].hex()}")


def _address_of_account(text: str) -> str | None:
    try:
        wallet = recognise(text)
    except WalletError:
        return None
    return wallet.address if wallet.chain is Chain.EVM else None
