from pipelabs.core.keyring import derive_audit_key
from pipelabs.core.settings import resource


def test_audit_key_is_derived_from_the_settings(app):
    with app.app_context():
        key = resource("audit_key")

    assert key == derive_audit_key({}, app.config["SECRET_KEY"])
