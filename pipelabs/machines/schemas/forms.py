"""Forms about machines, grants and stops. They load into what the services take."""

from typing import Any

from marshmallow import fields, post_load

from pipelabs.accounts.schemas.api_tokens import MAX_ADDRESSES, Network
from pipelabs.approvals.schemas import RejectionIn
from pipelabs.core.schemas.fields import EnumField, Input, PlainText, Query
from pipelabs.core.schemas.lists import LineList
from pipelabs.core.schemas.numbers import WholeNumber
from pipelabs.exchanges.schemas import ExchangeSlug
from pipelabs.machines.schemas.fields import RowID
from pipelabs.machines.schemas.machines import ADDRESSES, MachineChange, MachineIn
from pipelabs.models import Delivery, StopScope, WhenAway
from pipelabs.models.api_keys import LABEL_LENGTH
from pipelabs.models.leases import DAY_S

MINUTE_S = 60
NUMBER = {"widget": "number"}
DELIVERY = {
    "label": "Delivery",
    "description": "exec: to a program that the agent starts. hummingbot and sdk: to an engine that"
    " asks for it. push: into the engine's own store, from where it can't be recalled.",
}
TTL = NUMBER | {
    "label": "Lease (minutes)",
    "description": "How long the machine may use a key without renewing its lease.",
}
HOLDERS = NUMBER | {
    "label": "Machines per key",
    "description": "How many machines may have the same key. Two engines on one key use up each"
    " other's nonces and rate limit.",
}
EXAMINATION = NUMBER | {
    "label": "Verified within (days)",
    "description": "Keys that were last checked with their exchange before that are not leased.",
}
AWAY = {
    "label": "When Pipe Labs can't be reached",
    "description": "hold: use the keys for a while. drop: stop using them after 30 seconds.",
}
HOLD = NUMBER | {
    "label": "Hold (minutes)",
    "description": "How long the machine may use its keys then, and each at least until its lease"
    " expires.",
}


class VersionForm(Input):
    """A confirm page, with the version that it was drawn from."""

    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class ReasonForm(VersionForm, MachineChange):
    """A confirm page that asks why."""


class RejectionForm(VersionForm, RejectionIn):
    """The confirm page of a rejection."""


class InviteForm(MachineIn):
    """The form that invites a machine. Its networks are lines of text."""

    addresses = LineList(
        Network(),
        max=MAX_ADDRESSES,
        load_default=list,
        metadata=ADDRESSES
        | {
            "widget": "textarea",
            "description": "The networks that it calls from, one per line, such as 192.0.2.0/24."
            " Leave empty to allow any address.",
        },
    )


class GrantForm(Input):
    """The form that requests a grant. Loads as the members of `NewGrant` but the machine."""

    client_id = RowID(load_default=None, metadata={"widget": "hidden"})
    exchange = PlainText(
        load_default=None,
        min=1,
        max=64,
        metadata={"label": "Exchange", "description": "Leave empty for keys of every exchange."},
    )
    label = PlainText(
        load_default=None,
        min=1,
        max=LABEL_LENGTH,
        metadata={"label": "Label", "description": "Leave empty for keys with any label."},
    )
    delivery = EnumField(Delivery, required=True, metadata=DELIVERY)
    ttl_min = WholeNumber(
        min=5, max=DAY_S // MINUTE_S, is_form_field=True, required=True, metadata=TTL
    )
    max_holders = WholeNumber(min=1, max=10, is_form_field=True, required=True, metadata=HOLDERS)
    examination_days = WholeNumber(
        min=1, max=30, is_form_field=True, required=True, metadata=EXAMINATION
    )
    when_away = EnumField(WhenAway, required=True, metadata=AWAY)
    hold_min = WholeNumber(
        min=0, max=DAY_S // MINUTE_S, is_form_field=True, required=True, metadata=HOLD
    )

    @post_load
    def to_seconds(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Return the terms, with their times in seconds."""
        return {
            name: data[name]
            for name in (
                "client_id",
                "exchange",
                "label",
                "delivery",
                "max_holders",
                "when_away",
            )
        } | {
            "ttl_s": data["ttl_min"] * MINUTE_S,
            "max_examination_age_s": data["examination_days"] * DAY_S,
            "hold_s": data["hold_min"] * MINUTE_S,
        }


GRANT_DEFAULTS = {
    "delivery": Delivery.EXEC.value,
    "ttl_min": 60,
    "max_holders": 1,
    "examination_days": 7,
    "when_away": WhenAway.HOLD.value,
    "hold_min": 60,
}
"""What the form of a grant begins with, as `GrantIn`."""


class ClientChoice(Query):
    """The client chosen so far, or the search for one."""

    client_id = RowID()
    q = fields.String(load_default="")


class StopChoice(ClientChoice):
    """What was chosen so far to be stopped."""

    scope = EnumField(StopScope)
    exchange = ExchangeSlug()
    key_id = RowID()
    machine_id = RowID()
