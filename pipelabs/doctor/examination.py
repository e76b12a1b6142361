"""Run every check, whatever the others find."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelabs.core.db import db, finish
from pipelabs.doctor import database, jobs, rows, secrets, settings, tables, trail
from pipelabs.doctor.findings import Check, Finding, Result, Severity, fail

SERVER, MIGRATIONS, EXTENSION, RING = "postgresql", "migrations", "pg_trgm", "key_ring"
READ_ONLY = text("SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = 0")
"""Reading all of a large table may take longer than a request may."""


def list_checks(*, is_full: bool = False) -> Sequence[Check]:
    """Return all checks in the order in which they run, with all audit rows if `is_full`."""
    server, migrated = (SERVER,), (MIGRATIONS,)
    audit_rows = partial(trail.check_rows, is_full=is_full)
    scope = "Every audit row" if is_full else "Each audit row of a sample"
    return (
        Check(
            "secret_key_previous",
            settings.check_previous_secret_key,
            "No change of SECRET_KEY is open.",
        ),
        Check("environment", settings.check_environment, "ENVIRONMENT fits the database."),
        Check("cors_origins", settings.check_origins, "CORS_ORIGINS names exact origins."),
        Check("vault_keys", settings.check_vault_keys, "VAULT_KEYS is set."),
        Check("passwords", settings.check_passwords, "No password of the database is weak."),
        Check(
            "rate_limits",
            settings.check_rate_limits,
            "Rate limits are shared, and Redis can be written.",
        ),
        Check("audit_file", trail.check_file, "The audit file can be written."),
        Check(SERVER, database.check_server, "PostgreSQL answers and can be written."),
        Check(
            "clock",
            database.check_clock,
            "The clocks of this host and of PostgreSQL agree.",
            server,
        ),
        Check(
            "connections",
            database.check_connections,
            "PostgreSQL has enough free connections.",
            server,
        ),
        Check("replica", database.check_replica, "No replica is away or behind.", server),
        Check("locale", database.check_locale, "The database knows all letters.", server),
        Check(MIGRATIONS, database.check_migrations, "No migration is pending.", server),
        Check(EXTENSION, database.check_extension, "The extension is installed.", migrated),
        Check(
            "schema",
            tables.check_schema,
            "Tables and indexes are those of the models.",
            (EXTENSION,),
        ),
        Check("indexes", tables.check_indexes, "Every index is valid.", server),
        Check(
            "constraints",
            tables.check_constraints,
            "Every constraint is there and validated.",
            migrated,
        ),
        Check(
            "audit_protection",
            database.check_audit_protection,
            "The audit trail is append-only.",
            migrated,
        ),
        Check("jobs", jobs.check_jobs, "A worker runs background jobs.", migrated),
        Check("proxies", rows.check_proxies, "No unknown proxy was noticed.", migrated),
        Check("approvals", settings.check_approvals, "Approvals need another owner.", migrated),
        Check(RING, secrets.check_ring, "The key ring has the versions that rows need.", migrated),
        Check(
            "exchange_keys",
            secrets.check_exchange_keys,
            "Each exchange key can be decrypted and is genuine.",
            (RING,),
        ),
        Check("key_expiry", secrets.check_key_expiry, "No live key expires soon.", migrated),
        Check("token_expiry", secrets.check_token_expiry, "No API token expires soon.", migrated),
        Check(
            "token_permissions", rows.check_token_permissions, "Each permission exists.", migrated
        ),
        Check("clients", rows.check_clients, "Each client follows today's rules.", migrated),
        Check("token_pairs", rows.check_token_pairs, "Each pair follows today's rules.", migrated),
        Check("audit_rows", audit_rows, f"{scope} is genuine.", migrated),
        Check(
            "audit_reconciliation",
            trail.check_reconciliation,
            "The audit file is up to date.",
            migrated,
        ),
    )


def examine(checks: Sequence[Check], skipped: Collection[str] = ()) -> Iterator[Result]:
    """Yield the results of the checks in their order, without changing anything.

    A check that raises is an error of that check. `skipped` names checks that are not wanted.
    """
    without: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in without]
        if check.name in skipped:
            yield Result(check.name, Severity.SKIPPED, "Skipped as requested.")
            continue
        if missing:
            without.add(check.name)
            sentence = f"Skipped, because it needs {missing[0]}."
            yield Result(check.name, Severity.SKIPPED, sentence)
            continue
        findings = _run(check)
        if any(finding.severity is Severity.ERROR for finding in findings):
            without.add(check.name)
        for severity, message in findings or [Finding(Severity.OK, check.fine)]:
            yield Result(check.name, severity, message)


def _run(check: Check) -> list[Finding]:
    try:
        return _find(check)
    except Exception as error:  # noqa: BLE001 - the other checks shall run
        return [fail(f"The check failed: {_describe(error)}. Report it with the release.")]


def _find(check: Check) -> list[Finding]:
    """Run a check, in a transaction of its own that can write nothing if it needs the server."""
    try:
        if check.needs:
            db.session.execute(READ_ONLY)
        return list(check.find())
    finally:
        finish(commit=False)


def _describe(error: Exception) -> str:
    """Return the kind of an error. Its message may quote a value."""
    kind = type(error).__name__
    code = getattr(error.orig, "pgcode", None) if isinstance(error, DBAPIError) else None
    return f"{kind}, SQLSTATE {code}" if code else kind
