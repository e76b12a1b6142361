import importlib

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pipelabs.agent import protocol


def test_decode_accepts_base64url_without_padding_only():
    assert protocol.decode(protocol.encode(b"\xff\xfe")) == b"\xff\xfe"
    for text in ("_-4=", "_-5", "/+4", "_", "_-4\n"):
        with pytest.raises(ValueError, match=r"."):
            protocol.decode(text)


def test_open_sealed_opens_for_this_key_and_this_lease_only():
    key, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    context = protocol.lease_context("lease", "machine", "key", 1)
    sealed = protocol.seal(b'{"api_key": "k"}', key.public_key().public_bytes_raw(), context)

    assert protocol.open_sealed(sealed, key, context) == {"api_key": "k"}
    for attempt in (
        (sealed, other, context),
        (sealed, key, protocol.lease_context("lease", "machine", "key", 2)),
        ("A" + sealed[1:], key, context),
        ("?", key, context),
    ):
        with pytest.raises(protocol.Unreadable):
            protocol.open_sealed(*attempt)


def test_can_seal_rejects_keys_of_low_order():
    assert protocol.can_seal(X25519PrivateKey.generate().public_key().public_bytes_raw())
    assert not protocol.can_seal(bytes(32))


def test_verify_accepts_the_signers_key_only():
    key = Ed25519PrivateKey.generate()
    value = protocol.RequestSigner(key).sign("GET", "/a?b", b"", "stream.1", 1000)
    scheme, token = value.split()

    claims = protocol.verify(token, key.public_key().public_bytes_raw())

    assert scheme == "Machine"
    assert claims["exp"] - claims["iat"] <= 60
    assert (claims["htm"], claims["htu"], claims["jti"]) == ("GET", "/a?b", "stream.1")
    with pytest.raises(jwt.InvalidSignatureError):
        protocol.verify(token, Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def test_main_module_can_be_imported_without_running():
    assert importlib.import_module("pipelabs.agent.__main__").main
