"""Indexes for the search of token pairs, markets and keys.

Revision ID: 0024
Revises: 0023
"""

from sqlalchemy import literal_column

from migrations.indexes import create_index, drop_index

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SYMBOL = "lower(((base_asset || '/') || quote_asset) || COALESCE(':' || settle_asset, ''))"


def upgrade():
    create_index(
        "ix_token_pairs_searched",
        "token_pairs",
        [literal_column(SYMBOL).label("searched")],
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    )
    create_index(
        "ix_token_pairs_base_asset",
        "token_pairs",
        ["base_asset"],
        postgresql_ops={"base_asset": "text_pattern_ops"},
    )
    create_index(
        "ix_markets_lower_exchange_symbol",
        "markets",
        [literal_column("lower(exchange_symbol)").label("lower_exchange_symbol")],
        postgresql_ops={"lower_exchange_symbol": "text_pattern_ops"},
    )
    create_index(
        "ix_exchange_api_keys_lower_last_four",
        "exchange_api_keys",
        [literal_column("lower(last_four)")],
    )
    create_index(
        "ix_exchange_api_keys_lower_label",
        "exchange_api_keys",
        [literal_column("lower(label)").label("lower_label")],
        postgresql_ops={"lower_label": "text_pattern_ops"},
    )


def downgrade():
    drop_index("ix_exchange_api_keys_lower_label", "exchange_api_keys")
    drop_index("ix_exchange_api_keys_lower_last_four", "exchange_api_keys")
    drop_index("ix_markets_lower_exchange_symbol", "markets")
    drop_index("ix_token_pairs_base_asset", "token_pairs")
    drop_index("ix_token_pairs_searched", "token_pairs")
