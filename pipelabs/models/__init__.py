"""The tables; importing this package makes all of them known to the metadata."""

from pipelabs.models.admins import Admin, APIToken, Permission, Role, Session, SignInThrottle
from pipelabs.models.audit import AuditEvent, AuditFileMark, AuditFold, Outcome
from pipelabs.models.base import Base, now
from pipelabs.models.clients import Client, Status, Tier
from pipelabs.models.idempotency import IdempotencyRecord

__all__ = [
    "APIToken",
    "Admin",
    "AuditEvent",
    "AuditFileMark",
    "AuditFold",
    "Base",
    "Client",
    "IdempotencyRecord",
    "Outcome",
    "Permission",
    "Role",
    "Session",
    "SignInThrottle",
    "Status",
    "Tier",
    "now",
]
