"""EVM wallet addresses, for both peers."""

import re

from Crypto.Hash import keccak

EVM = re.compile("0x[0-9a-fA-F]{40}")


def checksum_address(text: str) -> str:
    """Return the address in EIP-55's mixed case; raise `ValueError` if it is not valid.

    An address in one case has no checksum to check.
    """
    if not EVM.fullmatch(text):
        raise ValueError("An EVM address is 0x and 40 hexadecimal digits.")
    digits = text[2:].lower()
    marks = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    pairs = zip(digits, marks, strict=False)  # the hash is longer
    address = "0x" + "".join(digit.upper() if mark > "7" else digit for digit, mark in pairs)
    if text not in (address, text.lower()):
        raise ValueError("The checksum of this address does not match.")
    return address
