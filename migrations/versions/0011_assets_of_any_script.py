"""Assets of any script, with the signs that exchanges use, and symbols with the quote asset first.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LETTERS = r"[A-Z0-9$\u0080-\U0010FFFF]+"
FORMS = {
    "base_asset": f"^{LETTERS}([._:-]{LETTERS})*$",
    "quote_asset": f"^{LETTERS}([._-]{LETTERS})*$",
    "settle_asset": f"^{LETTERS}([._-]{LETTERS})*$",
}
STYLES = ("joined", "lower_joined", "dash", "underscore", "lower_underscore", "slash", "own")


def upgrade():
    for column, form in FORMS.items():
        replace_check(
            "token_pairs",
            f"{column}_form",
            f"{column} ~ '{form}' AND char_length({column}) <= 24 AND {column} IS NFC NORMALIZED",
        )
    replace_check("exchanges", "symbolstyle", one_of((*STYLES, "quote_dash")))


def downgrade():
    """Fail if an asset exists that the earlier version can't store."""
    for column in FORMS:
        replace_check("token_pairs", f"{column}_form", f"{column} ~ '^[A-Z0-9]{{1,24}}$'")
    op.execute("UPDATE exchanges SET symbol_style = 'own' WHERE symbol_style = 'quote_dash'")
    replace_check("exchanges", "symbolstyle", one_of(STYLES))


def one_of(styles):
    values = ", ".join(f"'{style}'" for style in styles)
    return f"symbol_style IN ({values})"


def replace_check(table, name, condition):
    constraint = op.f(f"ck_{table}_{name}")
    op.drop_constraint(constraint, table, type_="check")
    op.create_check_constraint(constraint, table, condition)
