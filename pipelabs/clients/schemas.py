"""Clients as callers send and see them; labels and hints feed the form."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from pipelabs.clients import wallets
from pipelabs.core.schemas.characters import reject_characters
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    EMAIL,
    Body,
    EmailAddress,
    EnumField,
    Input,
    OpenAPIField,
    PlainText,
    Timestamp,
)
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.models.clients import NAME_LENGTH, NOTES_LENGTH, Chain, ClientSort, Status, Tier

NAME = {"label": "Name", "example": "Client Name"}
WALLET = {
    "label": "Wallet address",
    "description": "EVM, Solana, Bitcoin or Tron. The chain is detected from the address.",
    "example": "0x52908400098527886E0F7030069857D2E4169EE7",
}
TIER = {"label": "Tier", "example": "Premium"}
NOTES = {"label": "Notes", "example": "High volume trader"}


class WalletAddress(OpenAPIField, fields.Field[wallets.Wallet]):
    """An address of any chain the desk knows, in any spelling; loads as a `Wallet`."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> wallets.Wallet:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        reject_characters(value)
        try:
            return wallets.recognise(value)
        except wallets.WalletError as error:
            raise ValidationError(str(error)) from None


class ClientIn(Input):
    """What an admin sends to create a client."""

    name = PlainText(required=True, min=1, max=NAME_LENGTH, metadata=NAME)
    wallet_address = WalletAddress(required=True, metadata=WALLET)
    email = EmailAddress(load_default=None, metadata=EMAIL)
    tier = EnumField(Tier, load_default=Tier.STANDARD, metadata=TIER)
    notes = PlainText(load_default="", max=NOTES_LENGTH, lines=True, metadata=NOTES)


class ClientEdit(Input):
    """All that a form sends to change a client, and the version that it was filled from."""

    name = PlainText(required=True, min=1, max=NAME_LENGTH, metadata=NAME)
    email = EmailAddress(load_default=None, metadata=EMAIL)
    tier = EnumField(Tier, required=True, metadata=TIER)
    notes = PlainText(load_default="", max=NOTES_LENGTH, lines=True, metadata=NOTES)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class StatusMove(Input):
    """What a form sends to move a client, and the version that it was drawn from."""

    status = EnumField(Status, required=True)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class ClientPatch(Body):
    """What an admin sends to change a client; what is left out stays, null empties.

    A wallet never changes: the audit trail names a client by it.
    """

    name = PlainText(min=1, max=NAME_LENGTH, metadata=NAME)
    email = EmailAddress(allow_none=True, metadata=EMAIL)
    tier = EnumField(Tier, metadata=TIER)
    notes = PlainText(allow_none=True, max=NOTES_LENGTH, lines=True, metadata=NOTES)

    @post_load
    def empty_notes(self, data: Mapping[str, Any], **_: object) -> dict[str, Any]:
        """Store no notes as an empty text."""
        return {**data, "notes": data["notes"] or ""} if "notes" in data else dict(data)


class StatusIn(Input):
    """Where an admin moves a client."""

    status = EnumField(Status, required=True, metadata={"label": "Status", "example": "paused"})


class ClientsQuery(ListQuery):
    """Which clients are wanted, in which order."""

    q = SearchText(
        load_default="",
        metadata={"description": "Part of the name, the wallet or the e-mail address."},
    )
    tier = EnumField(Tier)
    status = EnumField(Status)
    chain = EnumField(Chain)
    sort = EnumField(
        ClientSort,
        load_default=ClientSort.CREATED_AT_DOWN,
        metadata={"description": "A minus sign sorts in descending order."},
    )


class ClientSummary(Schema):
    """A client as the answer to its creation shows it."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    wallet_address = fields.String(metadata=WALLET)
    email = fields.String(allow_none=True, metadata=EMAIL)
    tier = EnumField(Tier, metadata=TIER)
    status = EnumField(Status)
    created_at = Timestamp()


class ClientOut(ClientSummary):
    """A client with all that is known of it."""

    chain = EnumField(Chain)
    notes = fields.String(metadata=NOTES)
    settings = fields.Dict(
        attribute="shown_settings",
        metadata={
            "description": "`token_pairs` lists the pairs in which the client is quoted.",
            "example": {"token_pairs": ["BTC/USDT"]},
        },
    )
    version = fields.Integer(metadata={"example": 1})
    updated_at = Timestamp()


class CreationMetadata(Schema):
    """Who created it, and how long it took from the first byte to the insert's answer."""

    created_by = fields.String(metadata={"example": "operator@desk.local"})
    processing_time_ms = fields.Float(metadata={"example": 4.2})


class ClientCreated(Success):
    """A new client, and how it came about."""

    message = fields.String(metadata={"example": "Client created successfully"})
    client = fields.Nested(ClientSummary)
    metadata = fields.Nested(CreationMetadata)


class ClientShown(Success):
    """One client."""

    client = fields.Nested(ClientOut)


class ClientsListed(Success):
    """A page of clients."""

    clients = fields.List(fields.Nested(ClientOut))
    page = fields.Nested(PageOut)
