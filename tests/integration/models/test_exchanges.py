import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelabs.core.db import db
from tests.each import each
from tests.factories import make_exchange


@each(
    ("column", "value", "constraint"),
    [
        ("slug", "OKX", "slug_form"),
        ("slug", "ok-x", "slug_form"),
        ("slug", "", "slug_form"),
        ("slug", "x" * 41, "slug_form"),
        ("kind", "margin", "kind"),
        ("symbol_style", "DASH", "symbolstyle"),
        ("config", "[]", "config_object"),
        ("config", '{"a": "' + "x" * 4096 + '"}', "config_size"),
        ("version", 0, "version_positive"),
    ],
)
def test_check_constraints_reject_invalid_rows(app, column, value, constraint):
    cast = "CAST(:value AS jsonb)" if column == "config" else ":value"
    change = text(f"UPDATE exchanges SET {column} = {cast} WHERE slug = 'okx'")  # noqa: S608 - the columns are ours
    with app.app_context():
        make_exchange()

        with pytest.raises(DBAPIError, match=constraint):
            db.session.execute(change, {"value": value})


def test_needs_passphrase_follows_the_credentials_of_the_exchange(app):
    with app.app_context():
        assert make_exchange("okx").needs_passphrase
        assert not make_exchange("bitkub").needs_passphrase
