import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelabs.extensions import db
from pipelabs.models import Exchange
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
def test_the_table_refuses_what_the_schemas_refuse(app, column, value, constraint):
    cast = "CAST(:value AS jsonb)" if column == "config" else ":value"
    change = text(f"UPDATE exchanges SET {column} = {cast} WHERE slug = 'okx'")  # noqa: S608 - the columns are ours
    with app.app_context():
        make_exchange()

        with pytest.raises(DBAPIError, match=constraint):
            db.session.execute(change, {"value": value})


def test_an_exchange_tells_whether_a_key_has_a_passphrase_and_can_be_examined(app):
    with app.app_context():
        okx, bitkub = make_exchange("okx"), make_exchange("bitkub")

        assert (okx.needs_passphrase, okx.can_be_examined) == (True, True)
        assert (bitkub.needs_passphrase, bitkub.can_be_examined) == (False, False)


def test_one_that_the_registry_does_not_know_cannot_be_examined():
    assert not Exchange(slug="bittrex", credentials=[]).can_be_examined
