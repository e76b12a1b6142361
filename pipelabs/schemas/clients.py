"""Clients as callers send and see them; labels and hints feed the form."""

from marshmallow import Schema, fields

from pipelabs.models.clients import NAME_LENGTH, NOTES_LENGTH, Status, Tier
from pipelabs.schemas.fields import Choice, EmailAddress, Input, PlainText, WalletAddress, When
from pipelabs.wallets import Chain


class ClientIn(Input):
    """What an admin sends to create a client."""

    name = PlainText(required=True, least=1, most=NAME_LENGTH, metadata={"label": "Name"})
    wallet_address = WalletAddress(required=True, metadata={"label": "Wallet address"})
    email = EmailAddress(load_default=None, metadata={"label": "Email"})
    tier = Choice(Tier, load_default=Tier.STANDARD, metadata={"label": "Tier"})
    notes = PlainText(load_default="", most=NOTES_LENGTH, lines=True, metadata={"label": "Notes"})


class ClientSummary(Schema):
    """A client as the specification answers a creation."""

    id = fields.UUID()
    name = fields.String()
    wallet_address = fields.String()
    email = fields.String()
    tier = Choice(Tier)
    status = Choice(Status)
    created_at = When()


class ClientOut(ClientSummary):
    """A client with all that is known of it."""

    chain = Choice(Chain)
    notes = fields.String()
    settings = fields.Dict()
    version = fields.Integer()
    updated_at = When()


class CreationMetadata(Schema):
    """Who created it, and how long it took from the first byte to the insert's answer."""

    created_by = fields.String()
    processing_time_ms = fields.Float()


class Answer(Schema):
    """The envelope of every success."""

    success = fields.Boolean()
    message = fields.String()
    request_id = fields.String()


class ClientCreated(Answer):
    """The specification's answer to quick-client."""

    client = fields.Nested(ClientSummary)
    metadata = fields.Nested(CreationMetadata)


class ClientShown(Answer):
    """One client."""

    client = fields.Nested(ClientOut)
