from redis import Redis

from pipelabs.doctor.findings import Severity
from pipelabs.models import Role
from tests.each import each
from tests.factories import make_admin, make_vault_keys
from tests.servers import free_port, own_redis

SECRET = "Xq7-of-the-database"
PUBLIC = f"postgresql+psycopg2://pipelabs:{SECRET}@8.8.8.8:5432/pipelabs"
WEAK = "postgresql+psycopg2://pipelabs:pipelabs@127.0.0.1/pipelabs"


def test_a_sound_installation_has_no_findings(examined):
    assert examined() == []
    assert examined(is_full=True) == []


@each(
    ("expected", "changes"),
    [
        (
            ("secret_key_previous", "warning", "SECRET_KEY_PREVIOUS"),
            {"SECRET_KEY_FALLBACKS": ["x"]},
        ),
        (("cors_origins", "warning", "CORS_ORIGINS is empty"), {"CORS_ORIGINS": []}),
        (
            ("environment", "error", "DATABASE_URL leads to a public server"),
            {"ENVIRONMENT": "local", "SQLALCHEMY_DATABASE_URI": PUBLIC},
        ),
        (
            ("environment", "error", "DATABASE_MIGRATION_URL leads to a public server"),
            {"ENVIRONMENT": "local", "DATABASE_MIGRATION_URL": f"{PUBLIC}?host=10.0.0.1"},
        ),
        (
            ("passwords", "warning", "in DATABASE_URL and DATABASE_MIGRATION_URL is short"),
            {"SQLALCHEMY_DATABASE_URI": WEAK, "DATABASE_MIGRATION_URL": WEAK},
        ),
        (
            ("rate_limits", "error", "Each of 2 workers counts its own"),
            {"RATELIMIT_STORAGE_URI": "memory://", "WORKERS": 2},
        ),
        (
            ("rate_limits", "warning", "counted in memory"),
            {"RATELIMIT_STORAGE_URI": "memory://", "WORKERS": 1},
        ),
        (
            ("rate_limits", "error", "Redis does not answer"),
            {"RATELIMIT_STORAGE_URI": f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"},
        ),
        (("connections", "warning", "free connections"), {"WORKERS": 1_000}),
    ],
)
def test_an_unsafe_setting_is_found_alone(app, examined, monkeypatch, expected, changes):
    check, severity, message = expected
    with monkeypatch.context() as patch:
        for name, value in changes.items():
            patch.setitem(app.config, name, value)
        [found] = examined()

    assert (found.check, found.severity) == (check, Severity(severity))
    assert message in found.message
    assert SECRET not in found.message


@each("host", ["127.0.0.1:5432", "10.1.2.3", "/run/postgresql", "::1", "no-such-host.invalid"])
def test_a_database_of_a_local_environment_may_be_private(app, examined, monkeypatch, host):
    url = f"postgresql+psycopg2://pipelabs@/pipelabs?host={host}"
    monkeypatch.setitem(app.config, "ENVIRONMENT", "local")
    monkeypatch.setitem(app.config, "SQLALCHEMY_DATABASE_URI", url)
    monkeypatch.setitem(app.config, "DATABASE_MIGRATION_URL", url)

    assert examined() == []


def test_a_redis_that_rejects_writes_is_found_alone(app, examined, monkeypatch, tmp_path):
    with own_redis(tmp_path) as redis:
        monkeypatch.setitem(app.config, "RATELIMIT_STORAGE_URI", redis.url)
        assert examined() == []

        Redis.from_url(redis.url).config_set("min-replicas-to-write", 1)
        [found] = examined()

    assert (found.check, found.severity) == ("rate_limits", Severity.ERROR)


def test_a_redis_that_runs_no_scripts_is_found_alone(app, examined, monkeypatch, tmp_path):
    """Limits are counted by scripts."""
    with own_redis(tmp_path) as redis:
        monkeypatch.setitem(app.config, "RATELIMIT_STORAGE_URI", redis.url)
        Redis.from_url(redis.url).execute_command("ACL", "SETUSER", "default", "-@scripting")
        [found] = examined()

    assert (found.check, found.severity) == ("rate_limits", Severity.ERROR)


def test_a_missing_key_ring_is_found_alone(examined, ring):
    ring()

    [found] = examined()

    assert (found.check, found.severity) == ("vault_keys", Severity.WARNING)


def test_approving_alone_is_for_one_owner(app, examined, monkeypatch):
    monkeypatch.setitem(app.config, "SINGLE_OWNER_APPROVALS", 1)
    with app.app_context():
        make_admin()
        assert examined() == []

        make_admin(email="second@desk.local")
        make_admin(email="viewer@desk.local", role=Role.VIEWER)
        [found] = examined()

    assert (found.check, found.severity) == ("approvals", Severity.WARNING)


def test_postgresql_that_is_away_is_one_error(variant, examined):
    url = f"postgresql+psycopg2://pipelabs:{SECRET}@127.0.0.1:{free_port()}/pipelabs"
    away = variant(
        SQLALCHEMY_DATABASE_URI=url, DATABASE_MIGRATION_URL=url, VAULT_KEYS=make_vault_keys()
    )

    [found] = examined(away)

    assert (found.check, found.severity) == ("postgresql", Severity.ERROR)
    assert "PostgreSQL can't be reached: connection to server at" in found.message
    assert SECRET not in found.message
