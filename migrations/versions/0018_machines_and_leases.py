"""Machines, what they may hold and what stops that, and approvals by a second owner.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "approvals",
        sa.Column(
            "kind",
            sa.Enum(
                "grant",
                "machine",
                "stop_lift",
                name="approvalkind",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("requested_by_id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "approved",
                "rejected",
                "withdrawn",
                name="approvalstatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("decided_by_id", sa.Uuid(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("is_waived", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'pending') = (decided_at IS NULL)",
            name=op.f("ck_approvals_decided_unless_pending"),
        ),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_approvals_digest_length")),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["admins.id"], name=op.f("fk_approvals_decided_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["requested_by_id"], ["admins.id"], name=op.f("fk_approvals_requested_by_id")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_approvals_version_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_created_at_id", "approvals", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_approvals_decided_by_id"), "approvals", ["decided_by_id"], unique=False
    )
    op.create_index(
        op.f("ix_approvals_requested_by_id"), "approvals", ["requested_by_id"], unique=False
    )
    op.create_index(
        "ix_approvals_status", "approvals", ["status", "created_at", "id"], unique=False
    )
    op.create_index(
        "uq_approvals_subject",
        "approvals",
        ["kind", "subject_id"],
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "machines",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "invited",
                "enrolled",
                "active",
                "suspended",
                "retired",
                name="machinestatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("addresses", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("code_digest", sa.LargeBinary(), nullable=True),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("invited_by_id", sa.Uuid(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("signing_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealing_key", sa.LargeBinary(), nullable=True),
        sa.Column("thumbprint", sa.LargeBinary(), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enrolled_from", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'invited') = (code_digest IS NOT NULL)",
            name=op.f("ck_machines_code_if_invited"),
        ),
        sa.CheckConstraint(
            "status IN ('invited', 'retired') OR signing_key IS NOT NULL",
            name=op.f("ck_machines_enrolled_with_keys"),
        ),
        sa.CheckConstraint(
            "(code_digest IS NULL) = (code_expires_at IS NULL)",
            name=op.f("ck_machines_code_expires"),
        ),
        sa.CheckConstraint(
            "(signing_key IS NULL) = (sealing_key IS NULL)", name=op.f("ck_machines_both_keys")
        ),
        sa.CheckConstraint(
            "char_length(name) BETWEEN 1 AND 64", name=op.f("ck_machines_name_length")
        ),
        sa.CheckConstraint(
            "octet_length(signing_key) = 32 AND octet_length(sealing_key) = 32",
            name=op.f("ck_machines_key_length"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_machines_version_positive")),
        sa.ForeignKeyConstraint(
            ["invited_by_id"], ["admins.id"], name=op.f("fk_machines_invited_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
        sa.UniqueConstraint("code_digest", name=op.f("uq_machines_code_digest")),
        sa.UniqueConstraint("name", name=op.f("uq_machines_name")),
        sa.UniqueConstraint("thumbprint", name=op.f("uq_machines_thumbprint")),
    )
    op.create_index("ix_machines_created_at_id", "machines", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_machines_invited_by_id"), "machines", ["invited_by_id"], unique=False)
    op.create_table(
        "grants",
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("exchange", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column(
            "delivery",
            sa.Enum(
                "exec",
                "hummingbot",
                "sdk",
                "push",
                name="delivery",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("ttl_s", sa.Integer(), nullable=False),
        sa.Column("max_holders", sa.Integer(), nullable=False),
        sa.Column("max_examination_age_s", sa.Integer(), nullable=False),
        sa.Column(
            "when_away",
            sa.Enum(
                "hold",
                "drop",
                name="whenaway",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("hold_s", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "requested",
                "active",
                "rejected",
                "ended",
                name="grantstatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status <> 'active' OR digest IS NOT NULL", name=op.f("ck_grants_approved_if_active")
        ),
        sa.CheckConstraint("hold_s BETWEEN 0 AND 86400", name=op.f("ck_grants_hold_range")),
        sa.CheckConstraint(
            "max_examination_age_s BETWEEN 3600 AND 2592000",
            name=op.f("ck_grants_examination_range"),
        ),
        sa.CheckConstraint("max_holders BETWEEN 1 AND 10", name=op.f("ck_grants_holders_range")),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_grants_digest_length")),
        sa.CheckConstraint("ttl_s BETWEEN 300 AND 86400", name=op.f("ck_grants_ttl_range")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_grants_version_positive")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_grants_client_id")),
        sa.ForeignKeyConstraint(["exchange"], ["exchanges.slug"], name=op.f("fk_grants_exchange")),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"], name=op.f("fk_grants_machine_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_client_id"), "grants", ["client_id"], unique=False)
    op.create_index("ix_grants_created_at_id", "grants", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_grants_exchange"), "grants", ["exchange"], unique=False)
    op.create_index(op.f("ix_grants_machine_id"), "grants", ["machine_id"], unique=False)
    op.create_table(
        "machine_sightings",
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_stream", sa.Text(), nullable=True),
        sa.Column("stream_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("previous_address", sa.Text(), nullable=True),
        sa.Column("address_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_machine_sightings_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_machine_sightings")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "stops",
        sa.Column(
            "scope",
            sa.Enum(
                "everything",
                "exchange",
                "client",
                "key",
                "machine",
                name="stopscope",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("exchange", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raised_by", sa.Text(), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(exchange, client_id, key_id, machine_id)"
            " = CASE scope WHEN 'everything' THEN 0 ELSE 1 END",
            name=op.f("ck_stops_one_subject"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_stops_version_positive")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_stops_client_id")),
        sa.ForeignKeyConstraint(["exchange"], ["exchanges.slug"], name=op.f("fk_stops_exchange")),
        sa.ForeignKeyConstraint(["key_id"], ["exchange_api_keys.id"], name=op.f("fk_stops_key_id")),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"], name=op.f("fk_stops_machine_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stops")),
    )
    op.create_index(op.f("ix_stops_client_id"), "stops", ["client_id"], unique=False)
    op.create_index("ix_stops_created_at_id", "stops", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_stops_exchange"), "stops", ["exchange"], unique=False)
    op.create_index(op.f("ix_stops_key_id"), "stops", ["key_id"], unique=False)
    op.create_index(op.f("ix_stops_machine_id"), "stops", ["machine_id"], unique=False)
    op.create_index(
        "ix_stops_raised",
        "stops",
        ["scope"],
        unique=False,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_table(
        "leases",
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewals", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "end_reason",
            sa.Enum(
                "client_closed",
                "exchange_closed",
                "expired",
                "grant_ended",
                "key_expired",
                "key_not_verified",
                "key_revoked",
                "machine_closed",
                "returned",
                "stopped",
                "superseded",
                name="leaseend",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_leases_ended_for_a_reason")
        ),
        sa.CheckConstraint(
            "acknowledged_at IS NULL OR ended_at IS NOT NULL", name=op.f("ck_leases_ended_if_acked")
        ),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_leases_grant_id")),
        sa.ForeignKeyConstraint(
            ["key_id"], ["exchange_api_keys.id"], name=op.f("fk_leases_key_id")
        ),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"], name=op.f("fk_leases_machine_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
        sa.UniqueConstraint("machine_id", "key_id", name="uq_leases_machine_key"),
    )
    op.create_index(
        "ix_leases_expires_at",
        "leases",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_leases_grant_id"), "leases", ["grant_id"], unique=False)
    op.create_index("ix_leases_granted_at_id", "leases", ["granted_at", "id"], unique=False)
    op.create_index(
        "ix_leases_held",
        "leases",
        ["key_id"],
        unique=False,
        postgresql_where=sa.text("acknowledged_at IS NULL"),
    )
    op.create_index(op.f("ix_leases_key_id"), "leases", ["key_id"], unique=False)


def downgrade():
    op.drop_index(op.f("ix_leases_key_id"), table_name="leases")
    op.drop_index(
        "ix_leases_held", table_name="leases", postgresql_where=sa.text("acknowledged_at IS NULL")
    )
    op.drop_index("ix_leases_granted_at_id", table_name="leases")
    op.drop_index(op.f("ix_leases_grant_id"), table_name="leases")
    op.drop_index(
        "ix_leases_expires_at", table_name="leases", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_table("leases")
    op.drop_index(
        "ix_stops_raised", table_name="stops", postgresql_where=sa.text("lifted_at IS NULL")
    )
    op.drop_index(op.f("ix_stops_machine_id"), table_name="stops")
    op.drop_index(op.f("ix_stops_key_id"), table_name="stops")
    op.drop_index(op.f("ix_stops_exchange"), table_name="stops")
    op.drop_index("ix_stops_created_at_id", table_name="stops")
    op.drop_index(op.f("ix_stops_client_id"), table_name="stops")
    op.drop_table("stops")
    op.drop_table("machine_sightings")
    op.drop_index(op.f("ix_grants_machine_id"), table_name="grants")
    op.drop_index(op.f("ix_grants_exchange"), table_name="grants")
    op.drop_index("ix_grants_created_at_id", table_name="grants")
    op.drop_index(op.f("ix_grants_client_id"), table_name="grants")
    op.drop_table("grants")
    op.drop_index(op.f("ix_machines_invited_by_id"), table_name="machines")
    op.drop_index("ix_machines_created_at_id", table_name="machines")
    op.drop_table("machines")
    op.drop_index(
        "uq_approvals_subject",
        table_name="approvals",
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index("ix_approvals_status", table_name="approvals")
    op.drop_index(op.f("ix_approvals_requested_by_id"), table_name="approvals")
    op.drop_index(op.f("ix_approvals_decided_by_id"), table_name="approvals")
    op.drop_index("ix_approvals_created_at_id", table_name="approvals")
    op.drop_table("approvals")
