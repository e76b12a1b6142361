"""Signatures of exchange API keys, and places in audit files.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from flask import current_app
from sqlalchemy.dialects import postgresql

from pipelabs.models.audit import XID8
from pipelabs.vault.signing import encode

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEYS = "exchange_api_keys"
BATCH = 1_000
NO_RING = (
    "VAULT_KEYS is not set. This release signs exchange API keys with the key ring, so the"
    " migration needs the VAULT_KEYS of the service."
)
# A copy: what later releases sign does not change what this one has signed.
SIGNED = sa.table(
    KEYS,
    sa.column("id", sa.Uuid()),
    sa.column("client_id", sa.Uuid()),
    sa.column("exchange", sa.Text()),
    sa.column("label", sa.Text()),
    sa.column("is_testnet", sa.Boolean()),
    sa.column("ip_note", sa.Text()),
    sa.column("expires_at", sa.DateTime(timezone=True)),
    sa.column("stage", sa.Text()),
    sa.column("status", sa.Text()),
    sa.column("last_four", sa.Text()),
    sa.column("fingerprint", sa.LargeBinary()),
    sa.column("fields", postgresql.ARRAY(sa.Text())),
    sa.column("replaces_id", sa.Uuid()),
    sa.column("destroy_at", sa.DateTime(timezone=True)),
    sa.column("permissions", postgresql.JSONB()),
    sa.column("failure", sa.Text()),
    sa.column("examined_at", sa.DateTime(timezone=True)),
    sa.column("accepted_reason", sa.Text()),
    sa.column("accepted_by", sa.Text()),
    sa.column("accepted_at", sa.DateTime(timezone=True)),
    sa.column("altered_at", sa.DateTime(timezone=True)),
    sa.column("version", sa.Integer()),
)
SIGN = f"UPDATE {KEYS} SET mac = :mac WHERE id = :id"  # noqa: S608 - no value of anybody's
MARKS = "audit_file_marks"
PLACE = {
    "inode": sa.BigInteger,
    "byte_offset": sa.BigInteger,
    "tail": sa.LargeBinary,
    "file_xid": XID8,
}
CHECKS = {
    "kek_version_of_credentials": "kek_version BETWEEN 1 AND 65535 AND"
    " substring(credentials FROM 2 FOR 2) = substring(int4send(kek_version) FROM 3)",
    "mac_length": "octet_length(mac) = 34",
}


def upgrade():
    for name, kind in PLACE.items():
        op.add_column(MARKS, sa.Column(name, kind()))
    op.add_column(KEYS, sa.Column("altered_at", sa.DateTime(timezone=True)))
    op.add_column(KEYS, sa.Column("mac", sa.LargeBinary()))
    op.execute(
        f"UPDATE {KEYS}"  # noqa: S608 - as above
        " SET kek_version = get_byte(credentials, 1) * 256 + get_byte(credentials, 2)"
        " WHERE credentials IS NOT NULL"
        " AND kek_version <> get_byte(credentials, 1) * 256 + get_byte(credentials, 2)"
    )
    sign_existing_keys(op.get_bind())
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_{KEYS}_{name}"), KEYS, condition)


def sign_existing_keys(connection):
    """Sign every row as it is: nothing can say whether it was altered before."""
    vault = current_app.extensions["pipelabs.vault"]
    rows = sa.select(SIGNED)
    if not vault.versions:
        # A destroyed key needs no signature.
        if connection.scalar(sa.select(sa.exists(rows.where(SIGNED.c.stage != "destroyed")))):
            raise SystemExit(NO_RING)
        return
    found = connection.execute(rows.execution_options(yield_per=BATCH))
    for batch in found.mappings().partitions():
        signatures = [{"id": row["id"], "mac": vault.sign(encode(dict(row)))} for row in batch]
        connection.execute(sa.text(SIGN), signatures)


def downgrade():
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_{KEYS}_{name}"), KEYS, type_="check")
    op.drop_column(KEYS, "mac")
    op.drop_column(KEYS, "altered_at")
    for name in PLACE:
        op.drop_column(MARKS, name)
