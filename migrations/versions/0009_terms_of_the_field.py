"""Terms of the field: superseded keys, permissions, key-encryption keys, coalesced denials.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEYS = "exchange_api_keys"
COLUMNS = (
    (KEYS, "key_version", "kek_version"),
    (KEYS, "rights", "permissions"),
    ("audit_folds", "refusals", "denials"),
    ("audit_folds", "folded", "coalesced"),
)
CONSTRAINTS = (
    (KEYS, "ck_exchange_api_keys_key_version_known", "ck_exchange_api_keys_kek_version_known"),
    (
        KEYS,
        "ck_exchange_api_keys_sealed_or_destroyed",
        "ck_exchange_api_keys_encrypted_or_destroyed",
    ),
    ("audit_folds", "pk_audit_folds", "pk_coalesced_denials"),
)
INDEX = ("ix_exchange_api_keys_key_version_id", "ix_exchange_api_keys_kek_version_id")


def upgrade() -> None:
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    for table, old, new in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    op.execute(f"ALTER INDEX {INDEX[0]} RENAME TO {INDEX[1]}")
    op.rename_table("audit_folds", "coalesced_denials")
    _rename_stage("kept", "superseded")
    op.execute(f"UPDATE {KEYS} SET failure = 'rejected' WHERE failure = 'refused'")  # noqa: S608 - constants


def downgrade() -> None:
    op.execute(f"UPDATE {KEYS} SET failure = 'refused' WHERE failure = 'rejected'")  # noqa: S608 - constants
    _rename_stage("superseded", "kept")
    op.rename_table("coalesced_denials", "audit_folds")
    op.execute(f"ALTER INDEX {INDEX[1]} RENAME TO {INDEX[0]}")
    for table, old, new in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {old}")
    for table, old, new in COLUMNS:
        op.alter_column(table, new, new_column_name=old)


def _rename_stage(old: str, new: str) -> None:
    op.drop_index("ix_exchange_api_keys_destroy_at", KEYS)
    op.drop_constraint(op.f(f"ck_exchange_api_keys_{old}_until"), KEYS)
    op.drop_constraint(op.f("ck_exchange_api_keys_keystage"), KEYS)
    op.execute(f"UPDATE {KEYS} SET stage = '{new}' WHERE stage = '{old}'")  # noqa: S608 - constants
    op.create_check_constraint(
        op.f("ck_exchange_api_keys_keystage"),
        KEYS,
        f"stage IN ('candidate', 'live', '{new}', 'destroyed')",
    )
    op.create_check_constraint(
        op.f(f"ck_exchange_api_keys_{new}_until"),
        KEYS,
        f"(stage = '{new}') = (destroy_at IS NOT NULL)",
    )
    op.create_index(
        "ix_exchange_api_keys_destroy_at",
        KEYS,
        ["destroy_at"],
        postgresql_where=sa.text(f"stage = '{new}'"),
    )
