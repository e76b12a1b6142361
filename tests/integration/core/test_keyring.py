from pipelabs.core.keyring import audit_key, current_audit_key


def test_application_has_a_current_audit_key(app):
    with app.app_context():
        key = current_audit_key()

    assert key == audit_key({}, app.config["SECRET_KEY"])
