"""Background jobs each worker runs every minute, and once when it starts."""

import logging
import secrets
import threading
import time
from uuid import UUID

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pipelabs.accounts import retention
from pipelabs.audit import log_file, reconciliation, verification
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import PipeLabsError
from pipelabs.machines import endings
from pipelabs.markets.quoted_days import count_today
from pipelabs.vault import alterations, replacement, rotation
from pipelabs.vault.records import lock_key
from pipelabs.web import drafts, shown_once, undo

INTERVAL_S = 60
ACTOR_NAME = "service"
"""The actor of background jobs in the audit trail."""
logger = logging.getLogger("pipelabs")


def start(app: Flask) -> threading.Thread:
    """Start the thread that runs all jobs now and every minute while the process lives.

    Every worker has one. The jobs themselves make sure that only one worker does the work.
    """
    thread = threading.Thread(target=_run_forever, args=(app,), name="every-minute", daemon=True)
    thread.start()
    return thread


def reconcile_audit_file(app: Flask) -> None:
    """Append the lines that the audit file lacks. Log an error, and try again next minute."""
    try:
        with app.app_context(), unit_of_work():
            appended = reconciliation.reconcile(app.config["INSTANCE"])
            # Another process may have appended them. `/ready` of this one must recover as well.
            log_file.get_file_handler().append([])
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the audit file was not reconciled: %s", type(error).__name__)
        return
    if appended:
        logger.warning("the audit file lacked lines", extra={"appended": appended})


def destroy_expired_secrets(app: Flask) -> None:
    """Destroy secrets whose retention is over, and log versions that the key ring lacks."""
    actor = Actor(request_id=secrets.token_hex(4), name=ACTOR_NAME)
    try:
        with app.app_context(), unit_of_work():
            destroyed = replacement.destroy_due(actor)
            missing = rotation.missing_versions()
    except (SQLAlchemyError, PipeLabsError) as error:
        logger.warning("expired secrets were not destroyed: %s", type(error).__name__)
        return
    if destroyed:
        logger.info("expired secrets were destroyed", extra={"destroyed": destroyed})
    if missing:
        logger.error("VAULT_KEYS lacks versions that are still in use: %s", missing)


def quarantine_altered_keys(app: Flask, after: UUID | None) -> UUID | None:
    """Check the signatures of the next keys after this id; return where the next check begins.

    After an error the next check begins at the same key again.
    """
    actor = Actor(request_id=secrets.token_hex(4), name=ACTOR_NAME)
    try:
        with app.app_context():
            with unit_of_work():
                sweep = alterations.find_altered(after)
            for key_id in sweep.altered:
                with unit_of_work():
                    lock_key(key_id, actor)
    except (SQLAlchemyError, PipeLabsError) as error:
        logger.warning("signatures of API keys were not checked: %s", type(error).__name__)
        return after
    if sweep.altered:
        altered = [str(key_id) for key_id in sweep.altered]
        logger.error("API keys were changed outside of Pipe Labs", extra={"keys": altered})
    return sweep.next


def expire_leases(app: Flask) -> None:
    """Record the leases that have expired."""
    actor = Actor(request_id=secrets.token_hex(4), name=ACTOR_NAME)
    try:
        with app.app_context(), unit_of_work():
            expired = endings.expire_leases(actor)
    except (SQLAlchemyError, PipeLabsError) as error:
        logger.warning("expired leases were not recorded: %s", type(error).__name__)
        return
    if expired:
        logger.info("leases have expired", extra={"expired": expired})


def count_quoted_markets(app: Flask) -> None:
    """Count the markets that are quoted today, for the chart of the Desk page."""
    try:
        with app.app_context(), unit_of_work():
            count_today()
    except SQLAlchemyError as error:
        logger.warning("quoted markets were not counted: %s", type(error).__name__)


def purge_ended_sessions(app: Flask) -> None:
    """Delete a batch of sessions and API tokens that ended long ago."""
    try:
        with app.app_context(), unit_of_work():
            purged = retention.purge_ended()
    except SQLAlchemyError as error:
        logger.warning("ended sessions were not deleted: %s", type(error).__name__)
        return
    if purged:
        logger.info("ended sessions and tokens were deleted", extra={"purged": purged})


def erase_shown_secrets(app: Flask) -> None:
    """Erase new secrets, drafts and undos that no page shows any more."""
    try:
        with app.app_context(), unit_of_work():
            shown_once.erase_expired()
            drafts.erase_expired()
            undo.erase_expired()
    except SQLAlchemyError as error:
        logger.warning("shown secrets were not erased: %s", type(error).__name__)


def verify_audit_sample(app: Flask) -> None:
    """Verify the newest audit rows and a random sample, and log the ids of those not valid."""
    try:
        with app.app_context(), unit_of_work():
            invalid = verification.find_in_sample()
    except SQLAlchemyError as error:
        logger.warning("audit rows were not verified: %s", type(error).__name__)
        return
    if invalid:
        facts = {"first": invalid[0], "rows": len(invalid)}
        logger.error("audit rows are not valid: run flask audit verify", extra=facts)


def _run_forever(app: Flask) -> None:
    last_key = None
    while True:
        reconcile_audit_file(app)
        destroy_expired_secrets(app)
        last_key = quarantine_altered_keys(app, last_key)
        expire_leases(app)
        count_quoted_markets(app)
        purge_ended_sessions(app)
        erase_shown_secrets(app)
        verify_audit_sample(app)
        time.sleep(INTERVAL_S)
