from pipelabs.core.keyring import derive_audit_keys
from pipelabs.core.settings import resource


def test_audit_keys_are_derived_from_the_settings(app):
    with app.app_context():
        keys = resource("audit_keys")

    assert keys == derive_audit_keys({}, app.config["SECRET_KEY"])
