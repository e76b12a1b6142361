from pipelabs.core.keyring import current_audit_key, derive_audit_key


def test_current_audit_key_is_derived_from_the_settings(app):
    with app.app_context():
        key = current_audit_key()

    assert key == derive_audit_key({}, app.config["SECRET_KEY"])
