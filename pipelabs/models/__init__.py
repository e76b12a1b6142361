"""All tables. Importing this package registers them in the metadata."""

from pipelabs.models.admins import Admin, APIToken, Session, SignInThrottle
from pipelabs.models.api_keys import ExchangeAPIKey, KeyStage, KeyStatus
from pipelabs.models.approvals import Approval, ApprovalKind, ApprovalStatus
from pipelabs.models.audit import AuditEvent, AuditFileMark, CoalescedDenials, Outcome
from pipelabs.models.base import Base, Proof, new_id, now
from pipelabs.models.clients import Client, Status, Tier
from pipelabs.models.exchanges import Exchange
from pipelabs.models.idempotency import IdempotencyRecord
from pipelabs.models.leases import (
    Delivery,
    Grant,
    GrantStatus,
    Lease,
    LeaseEnd,
    Stop,
    StopScope,
    WhenAway,
)
from pipelabs.models.machines import Machine, MachineSighting, MachineStatus
from pipelabs.models.onboarding import OnboardingEnd
from pipelabs.models.permissions import Permission, Role
from pipelabs.models.quoted_days import QuotedDay
from pipelabs.models.snoozes import Snooze
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
    "Approval",
    "ApprovalKind",
    "ApprovalStatus",
    "AuditEvent",
    "AuditFileMark",
    "Base",
    "Bot",
    "Client",
    "ClientMarket",
    "CoalescedDenials",
    "Delivery",
    "Exchange",
    "ExchangeAPIKey",
    "Grant",
    "GrantStatus",
    "IdempotencyRecord",
    "KeyStage",
    "KeyStatus",
    "Lease",
    "LeaseEnd",
    "Machine",
    "MachineSighting",
    "MachineStatus",
    "Market",
    "MarketStatus",
    "OnboardingEnd",
    "Outcome",
    "Permission",
    "Proof",
    "QuotedDay",
    "QuotingStatus",
    "Role",
    "Session",
    "SignInThrottle",
    "Snooze",
    "Status",
    "Stop",
    "StopScope",
    "Tier",
    "TokenPair",
    "WhenAway",
    "new_id",
    "now",
]
