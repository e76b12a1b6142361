"""Every kind of error that a caller can cause; each knows its status and its stable code."""

from collections.abc import Mapping, Sequence
from uuid import UUID

Fields = Mapping[str, Sequence[str]]
"""Field → sentences, marshmallow's own shape; JSON answers and forms share it."""


class PipeLabsError(Exception):
    """A refusal whose message is a sentence that the caller may read."""

    status = 500
    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Fields | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """`facts` go to the audit row alone; `code` replaces the one of the class."""
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.fields = dict(fields or {})
        self.facts = dict(facts or {})

    def body(self) -> dict[str, object]:
        """Return the `error` member of the JSON envelope."""
        return {"code": self.code, "fields": self.fields}


class InvalidInput(PipeLabsError):
    """What was sent cannot be taken; `fields` lists every wrong field at once."""

    status = 400
    code = "invalid_input"


class CanWithdraw(InvalidInput):
    """The exchange says that this API key can withdraw, so the desk does not take it."""

    code = "withdrawal_allowed"

    def __init__(
        self, message: str, *, fields: Fields, permissions: Mapping[str, Mapping[str, str | None]]
    ) -> None:
        """`permissions` is all that the exchange said: right → verdict and evidence."""
        super().__init__(message, fields=fields, facts={"withdraw": "yes"})
        self.permissions = {name: dict(found) for name, found in permissions.items()}

    def body(self) -> dict[str, object]:
        """Return the `error` member, with what the key may do."""
        return super().body() | {"permissions": self.permissions}


class Unauthenticated(PipeLabsError):
    """Nobody is signed in: no, bad, expired or revoked token."""

    status = 401
    code = "unauthenticated"


class Forbidden(PipeLabsError):
    """Somebody is signed in, but the role lacks the permission."""

    status = 403
    code = "forbidden"


class NotFound(PipeLabsError):
    """The thing asked for is not there."""

    status = 404
    code = "not_found"


class Duplicate(PipeLabsError):
    """A value that must be unique is taken; `existing` maps field → id of the row that has it."""

    status = 409
    code = "duplicate"

    def __init__(
        self, message: str, *, fields: Fields, existing: Mapping[str, str] | None = None
    ) -> None:
        """`existing` may name two different rows: wallet and e-mail can belong to two clients."""
        self.existing = dict(existing or {})
        facts = {f"existing_{field}": row_id for field, row_id in self.existing.items()}
        super().__init__(message, fields=fields, facts=facts)

    def body(self) -> dict[str, object]:
        """Return the `error` member, with the ids of the rows that are in the way."""
        return super().body() | {"existing": self.existing}


class InvalidTransition(PipeLabsError):
    """The thing cannot get from where it stands to where it is sent."""

    status = 409
    code = "invalid_transition"


class Stale(PipeLabsError):
    """The thing has changed since the version that the caller has seen."""

    status = 412
    code = "stale_version"


class InProgress(PipeLabsError):
    """The first request with this idempotency key is not done yet; trying again is right."""

    status = 409
    code = "idempotency_in_progress"


class IdempotencyKeyReused(PipeLabsError):
    """An idempotency key came with another body than the first time."""

    status = 422
    code = "idempotency_key_reused"


class Throttled(PipeLabsError):
    """Too many attempts to sign in; after `wait_s` seconds, maybe many, the next is looked at."""

    status = 429
    code = "throttled"

    def __init__(self, message: str, *, wait_s: int) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RefreshTokenReplayed(Unauthenticated):
    """A refresh token was used twice, so one of its users is a thief: `session_id` has to end."""

    code = "token_replayed"

    def __init__(self, message: str, *, session_id: UUID) -> None:
        super().__init__(message, facts={"session": str(session_id)})
        self.session_id = session_id


class TooLarge(PipeLabsError):
    """The body is larger than the limit."""

    status = 413
    code = "too_large"


class UnsupportedMedia(PipeLabsError):
    """The body is not uncompressed UTF-8 JSON by its own headers."""

    status = 415
    code = "unsupported_media_type"


class Undecryptable(PipeLabsError):
    """What is sealed does not open: altered, moved, or under a key that the ring lacks."""

    status = 409
    code = "undecryptable"


class Unavailable(PipeLabsError):
    """Something this call needs is away for the moment; trying again is right."""

    status = 503
    code = "unavailable"
