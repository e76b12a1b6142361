"""Request and response schemas of clients, and the commands that they load into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validate

from pipelabs.clients import wallets
from pipelabs.core.commands import UNSET, Unset
from pipelabs.core.schemas.dates import SPAN, DateOrTime
from pipelabs.core.schemas.edits import EditForm, PartialUpdate
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    EMAIL,
    Checkbox,
    EmailAddress,
    EnumField,
    Input,
    OpenAPIField,
    OptionalText,
    PlainText,
    Timestamp,
    reject_characters,
)
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.core.text import trim
from pipelabs.models.clients import NAME_LENGTH, NOTES_LENGTH, Chain, ClientSort, Status, Tier

MAX_AT_ONCE = 500
"""Clients that one call can create."""
NAME = {"label": "Name", "example": "Client Name"}
WALLET = {
    "label": "Wallet address",
    "description": "EVM, Solana, Bitcoin or Tron. The chain is detected from the address.",
    "example": "0x52908400098527886E0F7030069857D2E4169EE7",
}
TIER = {"label": "Tier", "example": "Premium"}
NOTES = {"label": "Notes", "example": "High volume trader"}


class WalletAddress(OpenAPIField, fields.Field[wallets.Wallet]):
    """A wallet address on any supported chain. Loads as a `Wallet`."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> wallets.Wallet:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text = trim(value)
        reject_characters(text, is_secret=True)
        try:
            return wallets.recognise(text)
        except wallets.WalletError as error:
            raise ValidationError(str(error)) from None


class ClientFields:
    """The fields that an admin fills in, in the order of the form."""

    name = PlainText(required=True, min=1, max=NAME_LENGTH, metadata=NAME)
    wallet_address = WalletAddress(required=True, metadata=WALLET)
    email = EmailAddress(load_default=None, metadata=EMAIL)
    tier = EnumField(Tier, load_default=Tier.STANDARD, metadata=TIER)
    notes = PlainText(load_default="", max=NOTES_LENGTH, lines=True, metadata=NOTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client to create."""

    name: str
    wallet_address: wallets.Wallet
    email: str | None
    tier: Tier
    notes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanges:
    """Changes of a client.

    The wallet address can't be changed, because it identifies the client in the audit trail.
    """

    name: str | Unset = UNSET
    email: str | Unset | None = UNSET
    tier: Tier | Unset = UNSET
    notes: str | Unset = UNSET


class ClientIn(ClientFields, Input):
    """The body that creates a client. Loads as a `NewClient`."""

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> NewClient:
        """Return the command."""
        return NewClient(**data)


class ClientsIn(Input):
    """The body that creates many clients: all of them, or none if one is wrong."""

    clients = fields.List(
        fields.Nested(ClientIn),
        required=True,
        validate=validate.Length(1, MAX_AT_ONCE, error="Must have {min} to {max} entries."),
    )


class ClientChangeFields(ClientFields):
    """The fields of a change."""

    command: ClassVar[type] = ClientChanges
    unchangeable: ClassVar[tuple[str, ...]] = ("wallet_address",)


class ClientPatch(ClientChangeFields, PartialUpdate):
    """The body that changes a client. Omitted fields stay, and null empties a field."""


class ClientEdit(ClientChangeFields, EditForm):
    """The form that changes a client. Loads as `ClientChanges` and a version."""


class StatusEdit(Input):
    """The form that changes a client's status, with the version that the page showed.

    `revoke_keys` is for offboarding.
    """

    status = EnumField(Status, required=True)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})
    revoke_keys = Checkbox(load_default=False)


class StatusIn(Input):
    """The body that changes a client's status."""

    status = EnumField(Status, required=True, metadata={"label": "Status", "example": "paused"})


class ClientsQuery(ListQuery):
    """Filters and sort order of the list of clients."""

    q = SearchText(
        load_default="",
        metadata={
            "description": "Part of the name, the wallet or the e-mail address. Without three"
            " letters or digits in a row: the beginning of the name."
        },
    )
    wallet_address = WalletAddress(
        metadata={"description": "The whole address, in any spelling."},
    )
    tier = EnumField(Tier)
    status = EnumField(Status)
    chain = EnumField(Chain)
    created_since = DateOrTime(metadata={"description": f"Created at or after this time. {SPAN}"})
    created_until = DateOrTime(
        is_end=True, metadata={"description": f"Created before this time. {SPAN}"}
    )
    updated_since = DateOrTime(metadata={"description": f"Changed at or after this time. {SPAN}"})
    updated_until = DateOrTime(
        is_end=True, metadata={"description": f"Changed before this time. {SPAN}"}
    )
    sort = EnumField(
        ClientSort,
        load_default=ClientSort.CREATED_AT_DOWN,
        metadata={"description": "A minus sign sorts in descending order."},
    )


class ShownSettings(fields.Dict):
    """The settings with `token_pairs`, which are derived from the client's markets."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> dict[str, Any]:
        return show_settings(obj.settings, obj.symbols)


def show_settings(settings: Mapping[str, Any], symbols: Sequence[str] | None) -> dict[str, Any]:
    """Return the settings with the symbols of the pairs in which the client is quoted."""
    return {**settings, "token_pairs": sorted(symbols or [])}


class ClientSummary(Schema):
    """The fields of a client in the response to its creation."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    wallet_address = fields.String(metadata=WALLET)
    email = fields.String(allow_none=True, metadata=EMAIL)
    tier = EnumField(Tier, metadata=TIER)
    status = EnumField(Status)
    created_at = Timestamp()


class ClientOut(ClientSummary):
    """All fields of a client."""

    chain = EnumField(Chain)
    notes = OptionalText(metadata=NOTES)
    settings = ShownSettings(
        metadata={
            "description": "`token_pairs` lists the pairs in which the client is quoted.",
            "example": {"token_pairs": ["BTC/USDT"]},
        },
    )
    version = fields.Integer(metadata={"example": 1})
    updated_at = Timestamp()


class CreationMetadata(Schema):
    """The creator, and the time from the first byte of the request to the end of the insert."""

    created_by = fields.String(metadata={"example": "operator@desk.local"})
    processing_time_ms = fields.Float(metadata={"example": 4.2})


class ClientCreated(Success):
    """A new client."""

    message = fields.String(metadata={"example": "Client created successfully"})
    client = fields.Nested(ClientSummary)
    metadata = fields.Nested(CreationMetadata)


class ClientsCreated(Success):
    """New clients, in the order in which they were sent."""

    message = fields.String(metadata={"example": "1 client created"})
    clients = fields.List(fields.Nested(ClientSummary))
    metadata = fields.Nested(CreationMetadata)


class ClientShown(Success):
    """One client."""

    client = fields.Nested(ClientOut)


class ClientsListed(Success):
    """A page of clients."""

    data = fields.List(fields.Nested(ClientOut))
    page = fields.Nested(PageOut)
