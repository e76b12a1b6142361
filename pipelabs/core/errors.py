"""Every error that a caller can cause, with its HTTP status and its stable code."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

Code = Literal[
    "audit_unavailable",
    "bad_request",
    "code_invalid",
    "credentials_rejected",
    "csrf_failed",
    "database_busy",
    "database_unavailable",
    "duplicate",
    "forbidden",
    "idempotency_in_progress",
    "idempotency_key_reused",
    "internal",
    "invalid_host",
    "invalid_input",
    "invalid_json",
    "invalid_transition",
    "last_owner",
    "machine_address",
    "machine_body",
    "machine_clock",
    "machine_late",
    "machine_path",
    "machine_replayed",
    "machine_retired",
    "machine_signature",
    "machine_suspended",
    "machine_token_invalid",
    "machine_unapproved",
    "machine_unknown",
    "markup_not_allowed",
    "method_not_allowed",
    "not_found",
    "one_time_password_over",
    "own_account",
    "own_request",
    "owner_account",
    "password_change_required",
    "rate_limited",
    "requester_not_owner",
    "session_idle",
    "stale_version",
    "throttled",
    "token_address",
    "token_expired",
    "token_invalid",
    "token_replayed",
    "token_revoked",
    "too_large",
    "too_many_examinations",
    "unauthenticated",
    "unavailable",
    "undecryptable",
    "unsupported_media_type",
    "vault_not_configured",
    "withdrawal_allowed",
    "wrong_credentials",
    "wrong_password",
]
"""Stable codes of errors, for programs. Names never change once released."""
Fields = Mapping[str, Sequence[str]]
"""Field → error sentences, in marshmallow's shape. JSON answers and forms share it."""


class PipeLabsError(Exception):
    """An error whose message is a sentence for the caller."""

    status = 500
    code: Code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        fields: Fields | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """`facts` go to the audit row only. `code` overrides the code of the class."""
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.fields = dict(fields or {})
        self.facts = dict(facts or {})

    def body(self) -> dict[str, object]:
        """Return the `error` member of the JSON envelope."""
        return {"code": self.code, "fields": self.fields}


class InvalidInput(PipeLabsError):
    """The input is invalid. `fields` lists every wrong field at once."""

    status = 400
    code: Code = "invalid_input"


class InvalidHost(PipeLabsError):
    """The Host header is malformed or not allowed, so no URL can be built."""

    status = 400
    code: Code = "invalid_host"


class CanWithdraw(InvalidInput):
    """The exchange reports that this API key can withdraw, so it is rejected."""

    code: Code = "withdrawal_allowed"

    def __init__(
        self, message: str, *, fields: Fields, permissions: Mapping[str, Mapping[str, str | None]]
    ) -> None:
        """`permissions` is the exchange's full report: permission → verdict and evidence."""
        super().__init__(message, fields=fields, facts={"withdraw": "yes"})
        self.permissions = {name: dict(report) for name, report in permissions.items()}

    def body(self) -> dict[str, object]:
        """Return the `error` member, with the permissions of the key."""
        return super().body() | {"permissions": self.permissions}


class Unauthenticated(PipeLabsError):
    """The token is missing, malformed, expired or revoked."""

    status = 401
    code: Code = "unauthenticated"


class MachineClock(Unauthenticated):
    """The times of a machine's token do not fit the clock of this service."""

    code: Code = "machine_clock"

    def __init__(self, message: str, *, skew_s: int, code: Code | None = None) -> None:
        """`skew_s` is by how many seconds the token is ahead; it is negative for a late one."""
        super().__init__(message, code=code, facts={"skew_s": str(skew_s)})
        self.skew_s = skew_s

    def body(self) -> dict[str, object]:
        """Return the `error` member, with the time here and the difference."""
        server_time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return super().body() | {"server_time": server_time, "skew_s": self.skew_s}


class Forbidden(PipeLabsError):
    """The caller is authenticated but lacks the permission."""

    status = 403
    code: Code = "forbidden"


class NotFound(PipeLabsError):
    """The requested object does not exist."""

    status = 404
    code: Code = "not_found"


class Duplicate(PipeLabsError):
    """A unique value is taken; `existing` maps field → id of the row that has it."""

    status = 409
    code: Code = "duplicate"

    def __init__(
        self, message: str, *, fields: Fields, existing: Mapping[str, str] | None = None
    ) -> None:
        """`existing` may name two rows: wallet and e-mail can belong to two clients."""
        self.existing = dict(existing or {})
        facts = {f"existing_{field}": row_id for field, row_id in self.existing.items()}
        super().__init__(message, fields=fields, facts=facts)

    def body(self) -> dict[str, object]:
        """Return the `error` member, with the ids of the conflicting rows."""
        return super().body() | {"existing": self.existing}


class InvalidTransition(PipeLabsError):
    """The object's status does not allow this transition."""

    status = 409
    code: Code = "invalid_transition"


class Stale(PipeLabsError):
    """The update is based on a stale version."""

    status = 412
    code: Code = "stale_version"


class InProgress(PipeLabsError):
    """The first request with this idempotency key is still running. The caller may retry."""

    status = 409
    code: Code = "idempotency_in_progress"


class IdempotencyKeyReused(PipeLabsError):
    """The idempotency key was used before with another body."""

    status = 422
    code: Code = "idempotency_key_reused"


class Throttled(PipeLabsError):
    """Too many attempts to sign in. The next is allowed after `wait_s` seconds."""

    status = 429
    code: Code = "throttled"

    def __init__(self, message: str, *, wait_s: int) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RefreshTokenReplayed(Unauthenticated):
    """A refresh token was used twice, so it may be stolen: `session_id` must be ended."""

    code: Code = "token_replayed"

    def __init__(self, message: str, *, session_id: UUID) -> None:
        super().__init__(message, facts={"session": str(session_id)})
        self.session_id = session_id


class TooLarge(PipeLabsError):
    """The request body exceeds the size limit."""

    status = 413
    code: Code = "too_large"


class UnsupportedMedia(PipeLabsError):
    """The headers do not declare an uncompressed UTF-8 JSON body."""

    status = 415
    code: Code = "unsupported_media_type"


class Undecryptable(PipeLabsError):
    """An envelope cannot be decrypted: altered, moved, or its KEK is not in the key ring."""

    status = 409
    code: Code = "undecryptable"


class Unavailable(PipeLabsError):
    """A dependency is temporarily unavailable. The caller may retry."""

    status = 503
    code: Code = "unavailable"
