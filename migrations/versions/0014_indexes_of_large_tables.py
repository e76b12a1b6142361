"""Indexes for a million clients: pairs of filters, quoting, and the beginning of a name.

Revision ID: 0014
Revises: 0013
"""

from sqlalchemy import literal_column, text

from migrations.indexes import create_index, drop_index

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DENIED = text("status <> 'SUCCESS'")
IN_VAULT = text("stage <> 'destroyed'")
DESTROYED = text("stage = 'destroyed'")
NAME = literal_column('lower(name) COLLATE "C"')
NEW = (
    ("ix_client_markets_client_id_status", "client_markets", ["client_id", "status"], None),
    (
        "ix_client_markets_market_id_status",
        "client_markets",
        ["market_id", "status", "client_id"],
        None,
    ),
    ("ix_exchange_api_keys_status", "exchange_api_keys", ["status", "created_at", "id"], IN_VAULT),
    ("ix_exchange_api_keys_destroyed", "exchange_api_keys", ["created_at", "id"], DESTROYED),
    ("ix_audit_events_event_status_at_id", "audit_events", ["event", "status", "at", "id"], None),
    ("ix_audit_events_admin_id_event", "audit_events", ["admin_id", "event", "at", "id"], None),
    ("ix_audit_events_admin_id_status", "audit_events", ["admin_id", "status", "at", "id"], DENIED),
    ("ix_audit_events_address_event", "audit_events", ["address", "event", "at", "id"], None),
    ("ix_audit_events_address_status", "audit_events", ["address", "status", "at", "id"], DENIED),
    ("ix_clients_lower_name_id", "clients", [NAME, "id"], None),
    ("ix_clients_chain", "clients", ["chain", "created_at", "id"], text("chain <> 'evm'")),
    ("ix_sessions_expires_at", "sessions", ["expires_at"], None),
)


def upgrade():
    for name, table, columns, condition in NEW:
        create_index(name, table, columns, postgresql_where=condition)
    drop_index("ix_client_markets_market_id", "client_markets")
    drop_index("ix_clients_folded_name_id", "clients")


def downgrade():
    create_index("ix_clients_folded_name_id", "clients", [literal_column("lower(name)"), "id"])
    create_index("ix_client_markets_market_id", "client_markets", ["market_id"])
    for name, table, _, _ in NEW:
        drop_index(name, table)
