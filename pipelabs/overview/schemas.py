"""Response schemas of the overview."""

from marshmallow import Schema, fields

from pipelabs.accounts.schemas.admins import EMAIL
from pipelabs.audit.schemas import AuditEventOut
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Query, Timestamp
from pipelabs.overview.monitoring import MonitoredSpan

BY_STATUS = {"active": 17, "paused": 2, "suspended": 1, "offboarded": 0}
BY_TIER = {"Basic": 1, "Standard": 12, "Premium": 5, "Enterprise": 2}
KEYS_BY_STATUS = {"unverified": 1, "verified": 38, "quarantined": 2}
RESULTS = {"success": 19, "duplicate": 1, "invalid": 2, "limited": 0, "denied": 0, "error": 0}
PARTS = dict.fromkeys(
    ("postgresql", "migrations", "pool", "redis", "vault", "jobs", "audit_file", "proxy"), "ok"
)


class StatusQuery(Query):
    """What the status page shows."""

    span = EnumField(
        MonitoredSpan, load_default=MonitoredSpan.DAY, metadata={"label": "Client creations of"}
    )


class Counts(fields.Dict):
    """Counts by name."""

    def __init__(
        self, example: dict[str, int], description: str, attribute: str | None = None
    ) -> None:
        """Take an example that has all names."""
        metadata = {"example": example, "description": description}
        super().__init__(
            keys=fields.String(),
            values=fields.Integer(),
            attribute=attribute,
            metadata=metadata,
        )


class ClientsCounted(Schema):
    """The number of clients."""

    total = fields.Integer(attribute="clients", metadata={"example": 20})
    by_status = Counts(BY_STATUS, "All statuses.")
    by_tier = Counts(BY_TIER, "All tiers.")


class KeysCounted(Schema):
    """The number of exchange API keys, without destroyed ones."""

    total = fields.Integer(attribute="keys", metadata={"example": 41})
    by_status = Counts(KEYS_BY_STATUS, "All statuses of existing keys.", "keys_by_status")
    expiring = fields.Integer(
        attribute="keys_expiring",
        metadata={
            "example": 3,
            "description": "Live keys and replacements that expire within 14 days.",
        },
    )


class DayCounted(Schema):
    """The number of clients created on a day in UTC."""

    on = fields.Date(metadata={"example": "2026-11-22"})
    count = fields.Integer(metadata={"example": 3})


class PatternOut(Schema):
    """A cause of denied creations."""

    code = fields.String(metadata={"example": "invalid_input"})
    fields_ = fields.String(
        attribute="fields",
        data_key="fields",
        allow_none=True,
        metadata={"example": "email,name", "description": "Invalid fields, comma-separated."},
    )
    count = fields.Integer(metadata={"example": 2})


class CreatesOut(Schema):
    """The results of creation attempts, and the latency of the successful ones."""

    attempts = fields.Integer(
        metadata={"example": 22, "description": "Excludes idempotent replays."}
    )
    results = Counts(RESULTS, "`limited` is 429, `denied` 401 and 403, `error` 5xx.")
    success_rate = fields.Float(
        allow_none=True, metadata={"example": 0.8636, "description": "0 to 1."}
    )
    p50_ms = fields.Float(allow_none=True, metadata={"example": 4.2})
    p95_ms = fields.Float(allow_none=True, metadata={"example": 9.6})
    patterns = fields.List(
        fields.Nested(PatternOut), metadata={"description": "Most frequent causes of rejection."}
    )


class ActivityOut(Schema):
    """The activity of an admin in the last seven days."""

    admin_id = fields.UUID()
    email = fields.String(metadata=EMAIL)
    events = fields.Integer(metadata={"example": 40})
    creates = fields.Integer(metadata={"example": 19})
    last_seen_at = Timestamp()


class OverviewOut(Schema):
    """All figures of the overview."""

    counted_at = Timestamp(
        metadata={"description": "When all but `events` and `parts` were counted, up to 15 s ago."}
    )
    clients = fields.Nested(ClientsCounted)
    api_keys = fields.Nested(KeysCounted)
    created_per_day = fields.List(
        fields.Nested(DayCounted), metadata={"description": "The last 30 days, oldest first."}
    )
    last_24_h = fields.Nested(CreatesOut)
    last_7_d = fields.Nested(CreatesOut)
    admins = fields.List(
        fields.Nested(ActivityOut),
        metadata={"description": "Most active admins of the last 7 days."},
    )
    events = fields.List(
        fields.Nested(AuditEventOut), metadata={"description": "The ten latest events."}
    )
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"example": PARTS, "description": "State of each component; `ok` if healthy."},
    )


class OverviewShown(Success):
    """The overview."""

    overview = fields.Nested(OverviewOut)
