"""Forms of exchange API keys in the console."""

from marshmallow import fields

from pipelabs.core.schemas.edits import EditForm
from pipelabs.core.schemas.fields import Checkbox, Input, Query
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.vault.commands import KeyChanges
from pipelabs.vault.schemas.api_keys import NO_ID, KeyFields, KeyIn, KeysQuery


class KeyForm(KeyIn):
    """The form of a new key."""

    is_testnet = Checkbox(
        load_default=False, metadata={"label": "Testnet key", "widget": "checkbox"}
    )


class KeyEdit(KeyFields, EditForm):
    """The form that changes a key. Loads as `KeyChanges` and a version."""

    command = KeyChanges


class ClientKeysQuery(KeysQuery):
    """Filters of the keys of one client."""

    class Meta:
        """Options of marshmallow."""

        exclude = ("client_id",)


class KeyTarget(Input):
    """The client and the exchange in the form of a new key."""

    client_id = fields.UUID(required=True, error_messages=NO_ID)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)


class KeyChoice(Query):
    """The client and the exchange chosen so far for a new key."""

    client_id = fields.UUID(error_messages=NO_ID)
    exchange = ExchangeSlug(metadata=EXCHANGE)
    q = fields.String(load_default="")
