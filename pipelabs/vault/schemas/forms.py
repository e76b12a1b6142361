"""Exchange API keys as the console's forms send them; they load as their namesakes do."""

from typing import Any

from marshmallow import fields

from pipelabs.core.schemas.fields import Input, PlainText, Query, StrictBoolean
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.models.api_keys import IP_NOTE_LENGTH, LABEL_LENGTH
from pipelabs.vault.schemas.api_keys import EXPIRES_ON, IP_NOTE, LABEL, NO_ID, Day, KeyIn


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


class KeyEdit(Input):
    """All that a form sends to change a key, and the version that it was filled from."""

    label = PlainText(required=True, min=1, max=LABEL_LENGTH, metadata=LABEL)
    ip_note = PlainText(load_default="", max=IP_NOTE_LENGTH, lines=True, metadata=IP_NOTE)
    expires_on = Day(load_default=None, metadata=EXPIRES_ON, attribute="expires_at")
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class KeyTarget(Input):
    """For whom and where a key is added, of what the form of a new key sends."""

    client_id = fields.UUID(required=True, error_messages=NO_ID)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)


class KeyChoice(Query):
    """For whom and where a key is to be added; the form asks for what is missing."""

    client_id = fields.UUID(error_messages=NO_ID)
    exchange = ExchangeSlug(metadata=EXCHANGE)
    q = fields.String(load_default="")
