"""All tables. Importing this package registers them in the metadata."""

from pipelabs.models.admins import Admin, APIToken, Session, SignInThrottle
from pipelabs.models.api_keys import ExchangeAPIKey, KeyStage, KeyStatus
from pipelabs.models.audit import AuditEvent, AuditFileMark, CoalescedDenials, Outcome
from pipelabs.models.base import Base, Proof, new_id, now
from pipelabs.models.clients import Client, Status, Tier
from pipelabs.models.exchanges import Exchange
from pipelabs.models.idempotency import IdempotencyRecord
from pipelabs.models.permissions import Permission, Role
from pipelabs.models.token_pairs import (
    Bot,
    ClientMarket,
    Market,
    MarketStatus,
    QuotingStatus,
    TokenPair,
)

__all__ = [
    "APIToken",
    "Admin",
    "AuditEvent",
    "AuditFileMark",
    "Base",
    "Bot",
    "Client",
    "ClientMarket",
    "CoalescedDenials",
    "Exchange",
    "ExchangeAPIKey",
    "IdempotencyRecord",
    "KeyStage",
    "KeyStatus",
    "Market",
    "MarketStatus",
    "Outcome",
    "Permission",
    "Proof",
    "QuotingStatus",
    "Role",
    "Session",
    "SignInThrottle",
    "Status",
    "Tier",
    "TokenPair",
    "new_id",
    "now",
]
