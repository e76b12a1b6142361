"""Exchange API keys as the console's forms send them; they load as their namesakes do."""

from typing import Any

from marshmallow import fields, missing, post_load

from pipelabs.core.schemas.fields import Input, Query, StrictBoolean
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.vault.commands import KeyChanges
from pipelabs.vault.schemas.api_keys import NO_ID, KeyFields, KeyIn


class Checkbox(StrictBoolean):
    """A checkbox: there if it is ticked."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> bool:
        if value != "on":
            raise self.make_error("invalid")
        return True


class KeyForm(KeyIn):
    """What the form of a new key sends."""

    is_testnet = Checkbox(
        load_default=False, metadata={"label": "Testnet key", "widget": "checkbox"}
    )


class KeyEdit(KeyFields, Input):
    """The form that changes a key; loads as the changes and the version they are based on."""

    version = fields.Integer(required=True, metadata={"widget": "hidden"})

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Require the label: its default is for new keys only."""
        if field_name == "label":
            field_obj.required, field_obj.load_default = True, missing

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> tuple[KeyChanges, int]:
        """Return the command and the version."""
        version = data.pop("version")
        return KeyChanges(**data), version


class KeyTarget(Input):
    """For whom and where a key is added, of what the form of a new key sends."""

    client_id = fields.UUID(required=True, error_messages=NO_ID)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)


class KeyChoice(Query):
    """For whom and where a key is to be added; the form asks for what is missing."""

    client_id = fields.UUID(error_messages=NO_ID)
    exchange = ExchangeSlug(metadata=EXCHANGE)
    q = fields.String(load_default="")
