"""Schemas of the audit trail: filters and events."""

import re
from typing import Any

from marshmallow import Schema, fields

from pipelabs.audit import subjects
from pipelabs.audit.events import Event
from pipelabs.core.ip_address import UNKNOWN, parse_ip_address
from pipelabs.core.schemas.dates import SPAN, DateOrTime
from pipelabs.core.schemas.envelope import EXAMPLE_REQUEST_ID, Success
from pipelabs.core.schemas.fields import EMAIL, EnumField, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.core.text import trim
from pipelabs.models import Outcome, Proof
from pipelabs.models.clients import EMAIL_LENGTH

REQUEST_ID_LENGTH = 64
SLUG = re.compile("[a-z0-9_-]{1,32}", re.ASCII)
LINE = (
    "2026-11-22T22:46:00.012Z | SUCCESS | eb766d15 | operator@desk.local | "
    "31113ba9-d54f-4b34-8877-19e7dc1b7084 | event=client.created http=201 ip=192.0.2.7 ms=4.2 id=1"
)


class Address(fields.String):
    """An IP address in any notation, or `unknown`, as recorded where there was none."""

    default_error_messages = {"address": "This is not an IP address."}  # noqa: RUF012 - as above

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if value == UNKNOWN:
            return UNKNOWN
        if address := parse_ip_address(value):
            return address
        raise self.make_error("address")


class ClientID(fields.UUID):
    """The id of a client."""

    default_error_messages = {"invalid_uuid": "This is not an id."}  # noqa: RUF012 - as above


class SubjectName(fields.String):
    """What an event is about: a kind and an id, such as `market:…` or `exchange:okx`."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "subject": "Must be a kind and an id, such as client:… or exchange:okx."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if isinstance(value, str) and (subject := subjects.parse(trim(value))):
            kind, subject_id = subject
            return f"{kind}:{subject_id.lower()}"
        raise self.make_error("subject")


class ExchangeName(fields.String):
    """The slug of an exchange."""

    default_error_messages = {"exchange": "This is not an exchange."}  # noqa: RUF012 - as above

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if isinstance(value, str) and SLUG.fullmatch(slug := trim(value).lower()):
            return slug
        raise self.make_error("exchange")


class AuditQuery(ListQuery):
    """Filters of a list of events, newest first."""

    since = DateOrTime(metadata={"label": "From", "description": f"At or after this time. {SPAN}"})
    until = DateOrTime(
        is_end=True, metadata={"label": "To", "description": f"Before this time. {SPAN}"}
    )
    admin = PlainText(
        min=1,
        max=EMAIL_LENGTH,
        metadata={"label": "Admin", "description": "An admin's e-mail address or id."},
    )
    client_id = ClientID(metadata={"label": "Client"})
    subject = SubjectName(
        metadata={
            "label": "Subject",
            "description": "What the event is about: `client:…`, `api_key:…`, `market:…`,"
            " `client_market:…`, `token_pair:…`, `exchange:okx`, `admin:…` and so on.",
        }
    )
    exchange = ExchangeName(metadata={"label": "Exchange", "description": "Slug of an exchange."})
    event = EnumField(Event, metadata={"label": "Event"})
    status = EnumField(Outcome, metadata={"label": "Status", "description": "Outcome."})
    request_id = PlainText(min=1, max=REQUEST_ID_LENGTH, metadata={"label": "Request id"})
    address = Address(metadata={"label": "IP address", "description": "An IP address."})


class AuditEventOut(Schema):
    """An audit event."""

    id = fields.String(metadata={"example": "1"})
    at = Timestamp()
    instance = fields.String(metadata={"example": "web-1"})
    admin_id = fields.UUID(allow_none=True)
    actor = fields.String(allow_none=True, metadata=EMAIL)
    address = fields.String(allow_none=True, metadata={"example": "192.0.2.7"})
    request_id = fields.String(metadata={"example": EXAMPLE_REQUEST_ID})
    status = EnumField(Outcome)
    event = fields.String(
        metadata={"example": Event.CLIENT_CREATED.value, "description": "More values can be added."}
    )
    client_id = fields.UUID(allow_none=True)
    http = fields.Integer(allow_none=True, metadata={"example": 201})
    ms = fields.Float(allow_none=True, metadata={"example": 4.2})
    details = fields.Dict(metadata={"example": {"name": "Client Name", "tier": "Premium"}})
    proof = EnumField(
        Proof,
        metadata={
            "description": "`valid`: this service wrote the row as it is. `altered`: something else"
            " wrote or changed it. `unknown`: the key of its MAC is not set here any more."
        },
    )


class AuditEventsListed(Success):
    """A page of the audit trail."""

    data = fields.List(fields.Nested(AuditEventOut))
    page = fields.Nested(PageOut)


class AuditEventShown(Success):
    """An event, and its line in the audit file."""

    audit_event = fields.Nested(AuditEventOut)
    line = fields.String(metadata={"example": LINE})
