"""Exchanges, token pairs, markets, who is quoted where, and the vault of API keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exchanges",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "spot",
                "derivatives",
                "both",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("docs_url", sa.Text(), nullable=False),
        sa.Column(
            "symbol_style",
            sa.Enum(
                "joined",
                "lower_joined",
                "dash",
                "underscore",
                "lower_underscore",
                "slash",
                "own",
                name="symbolstyle",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("credentials", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("aliases", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("has_testnet", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "jsonb_typeof(config) = 'object'", name=op.f("ck_exchanges_config_object")
        ),
        sa.CheckConstraint("slug ~ '^[a-z0-9]{1,40}$'", name=op.f("ck_exchanges_slug_form")),
        sa.CheckConstraint(
            "octet_length(config::text) <= 4096", name=op.f("ck_exchanges_config_size")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_exchanges_version_positive")),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_exchanges")),
    )
    op.create_table(
        "token_pairs",
        sa.Column("base_asset", sa.Text(), nullable=False),
        sa.Column("quote_asset", sa.Text(), nullable=False),
        sa.Column("settle_asset", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "base_asset ~ '^[A-Z0-9]{1,24}$'", name=op.f("ck_token_pairs_base_asset_form")
        ),
        sa.CheckConstraint(
            "quote_asset ~ '^[A-Z0-9]{1,24}$'", name=op.f("ck_token_pairs_quote_asset_form")
        ),
        sa.CheckConstraint(
            "settle_asset ~ '^[A-Z0-9]{1,24}$'", name=op.f("ck_token_pairs_settle_asset_form")
        ),
        sa.CheckConstraint("base_asset <> quote_asset", name=op.f("ck_token_pairs_assets_differ")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_pairs")),
    )
    op.create_index(
        "uq_token_pairs_symbol",
        "token_pairs",
        ["base_asset", "quote_asset", "settle_asset"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "exchange_api_keys",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("is_testnet", sa.Boolean(), nullable=False),
        sa.Column("ip_note", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "stage",
            sa.Enum(
                "candidate",
                "live",
                "kept",
                "destroyed",
                name="keystage",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "unverified",
                "verified",
                "quarantined",
                "revoked",
                name="keystatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("fields", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("key_version", sa.Integer(), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("destroy_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rights", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("examined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("examined_ms", sa.Double(), nullable=True),
        sa.Column("accepted_reason", sa.Text(), nullable=True),
        sa.Column("accepted_by", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(stage = 'destroyed') = (credentials IS NULL)",
            name=op.f("ck_exchange_api_keys_sealed_or_destroyed"),
        ),
        sa.CheckConstraint(
            "(stage = 'kept') = (destroy_at IS NOT NULL)",
            name=op.f("ck_exchange_api_keys_kept_until"),
        ),
        sa.CheckConstraint(
            "(credentials IS NULL) = (key_version IS NULL)",
            name=op.f("ck_exchange_api_keys_key_version_known"),
        ),
        sa.CheckConstraint(
            "char_length(label) BETWEEN 1 AND 100", name=op.f("ck_exchange_api_keys_label_length")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_exchange_api_keys_version_positive")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_exchange_api_keys_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["exchange"], ["exchanges.slug"], name=op.f("fk_exchange_api_keys_exchange")
        ),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["exchange_api_keys.id"], name=op.f("fk_exchange_api_keys_replaces_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_api_keys")),
    )
    op.create_index(
        op.f("ix_exchange_api_keys_client_id"), "exchange_api_keys", ["client_id"], unique=False
    )
    op.create_index(
        "ix_exchange_api_keys_created_at_id",
        "exchange_api_keys",
        ["created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_exchange_api_keys_destroy_at",
        "exchange_api_keys",
        ["destroy_at"],
        unique=False,
        postgresql_where=sa.text("stage = 'kept'"),
    )
    op.create_index(
        op.f("ix_exchange_api_keys_exchange"), "exchange_api_keys", ["exchange"], unique=False
    )
    op.create_index(
        "ix_exchange_api_keys_expires_at",
        "exchange_api_keys",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("stage <> 'destroyed'"),
    )
    op.create_index(
        op.f("ix_exchange_api_keys_fingerprint"), "exchange_api_keys", ["fingerprint"], unique=False
    )
    op.create_index(
        "ix_exchange_api_keys_key_version_id",
        "exchange_api_keys",
        ["key_version", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_exchange_api_keys_replaces_id"), "exchange_api_keys", ["replaces_id"], unique=False
    )
    op.create_index(
        "uq_exchange_api_keys_candidate",
        "exchange_api_keys",
        ["client_id", "exchange", "label"],
        unique=True,
        postgresql_where=sa.text("stage = 'candidate'"),
    )
    op.create_index(
        "uq_exchange_api_keys_label",
        "exchange_api_keys",
        ["client_id", "exchange", "label"],
        unique=True,
        postgresql_where=sa.text("stage = 'live'"),
    )
    op.create_table(
        "markets",
        sa.Column("token_pair_id", sa.Uuid(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("exchange_symbol", sa.Text(), nullable=False),
        sa.Column("price_tick", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("amount_step", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("min_notional", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "trading",
                "halted",
                "delisted",
                name="marketstatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_step > 0", name=op.f("ck_markets_amount_step_positive")),
        sa.CheckConstraint(
            "char_length(exchange_symbol) BETWEEN 1 AND 64",
            name=op.f("ck_markets_exchange_symbol_length"),
        ),
        sa.CheckConstraint("min_notional >= 0", name=op.f("ck_markets_min_notional_positive")),
        sa.CheckConstraint("price_tick > 0", name=op.f("ck_markets_price_tick_positive")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_markets_version_positive")),
        sa.ForeignKeyConstraint(["exchange"], ["exchanges.slug"], name=op.f("fk_markets_exchange")),
        sa.ForeignKeyConstraint(
            ["token_pair_id"], ["token_pairs.id"], name=op.f("fk_markets_token_pair_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_markets")),
    )
    op.create_index(
        "ix_markets_exchange_symbol", "markets", ["exchange", "exchange_symbol"], unique=False
    )
    op.create_index("uq_markets_symbol", "markets", ["token_pair_id", "exchange"], unique=True)
    op.create_table(
        "client_markets",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("market_id", sa.Uuid(), nullable=False),
        sa.Column(
            "bot",
            sa.Enum(
                "market_maker",
                "volume_generator",
                "both",
                name="bot",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("spread_target_bps", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("daily_volume_target", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "paused",
                "delisted",
                name="quotingstatus",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "daily_volume_target >= 0", name=op.f("ck_client_markets_daily_volume_positive")
        ),
        sa.CheckConstraint(
            "spread_target_bps > 0", name=op.f("ck_client_markets_spread_target_positive")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_client_markets_version_positive")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_client_markets_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_client_markets_market_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_markets")),
    )
    op.create_index(
        op.f("ix_client_markets_market_id"), "client_markets", ["market_id"], unique=False
    )
    op.create_index(
        "uq_client_markets_market", "client_markets", ["client_id", "market_id"], unique=True
    )


def downgrade() -> None:
    for table in ("client_markets", "markets", "exchange_api_keys", "token_pairs", "exchanges"):
        op.drop_table(table)
