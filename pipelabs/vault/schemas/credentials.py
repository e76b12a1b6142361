"""The credentials of an exchange API key; they are write-only."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import fields, post_load

from pipelabs.core.schemas.fields import Input, OpenAPIField, PlainText, reject_seed_phrase
from pipelabs.core.text import trim
from pipelabs.models.exchanges import Credential
from pipelabs.vault.commands import NewCredentials
from pipelabs.vault.envelope import Secret

SECRET_LENGTH = 8_192
"""More than any exchange uses: a private key in PEM format has a few hundred characters."""
PEM = "-----BEGIN "
WRITE_ONLY = "Encrypted immediately and never shown again."
CREDENTIALS: Mapping[str, dict[str, Any]] = {
    Credential.API_KEY: {
        "label": "API key",
        "description": "Only the last four characters stay visible.",
        "example": "okx-trade-only",
    },
    Credential.API_SECRET: {
        "label": "API secret",
        "description": WRITE_ONLY,
        "example": "an example, and no secret",
    },
    Credential.PASSPHRASE: {
        "label": "Passphrase",
        "description": f"Chosen when the key was created. {WRITE_ONLY}",
        "example": "an example",
    },
    Credential.UID: {"label": "User id"},
    Credential.ACCOUNT_ID: {"label": "Account id"},
    Credential.LOGIN: {"label": "Login"},
    Credential.TOKEN: {"label": "Token", "description": WRITE_ONLY},
    Credential.PRIVATE_KEY: {
        "label": "Private key of the API wallet",
        "description": f"An agent that can only trade, never a client's wallet. {WRITE_ONLY}",
    },
    Credential.WALLET_ADDRESS: {"label": "Wallet address of the account"},
    Credential.TWO_FACTOR: {"label": "Two-factor secret", "description": WRITE_ONLY},
}


class SecretText(OpenAPIField, fields.Field[Secret]):
    """A secret as an exchange issues it: printable ASCII, with line breaks only in a PEM key."""

    openapi_type = "string"
    openapi_format = "password"

    default_error_messages = PlainText.default_error_messages | {
        "length": f"Must have 1 to {SECRET_LENGTH:,} characters.",
        "characters": "Must be printable ASCII without line breaks or surrounding spaces.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> Secret:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text = trim(value)
        reject_seed_phrase(text)
        if not 1 <= len(text) <= SECRET_LENGTH:
            raise self.make_error("length")
        if text.startswith(PEM):
            text = text.replace("\\n", "\n").replace("\r\n", "\n")
        printed = text.replace("\n", "") if text.startswith(PEM) else text
        if not (printed.isascii() and printed.isprintable()):
            raise self.make_error("characters")
        return Secret(text)


class CredentialsIn(Input):
    """The credentials of a key; the registry knows which of them an exchange uses.

    A schema that adds its own fields loads as `command`.
    """

    command: ClassVar[type[NewCredentials]] = NewCredentials

    api_key = SecretText(metadata=CREDENTIALS["api_key"])
    api_secret = SecretText(metadata=CREDENTIALS["api_secret"])
    passphrase = SecretText(metadata=CREDENTIALS["passphrase"])
    uid = SecretText(metadata=CREDENTIALS["uid"])
    account_id = SecretText(metadata=CREDENTIALS["account_id"])
    login = SecretText(metadata=CREDENTIALS["login"])
    token = SecretText(metadata=CREDENTIALS["token"])
    private_key = SecretText(metadata=CREDENTIALS["private_key"])
    wallet_address = SecretText(metadata=CREDENTIALS["wallet_address"])
    two_factor = SecretText(metadata=CREDENTIALS["two_factor"])

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> NewCredentials:
        """Return the command, which has the credentials in one mapping."""
        credentials = {name.value: data[name] for name in Credential if name in data}
        rest = {name: value for name, value in data.items() if name not in credentials}
        return self.command(credentials=credentials, **rest)
