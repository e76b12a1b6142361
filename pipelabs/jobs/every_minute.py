"""Background jobs each worker runs every minute, and once when it starts."""

import logging
import secrets
import threading
import time

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pipelabs.audit import log_file, reconciliation
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import PipeLabsError
from pipelabs.vault import replacement, rotation

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


def _run_forever(app: Flask) -> None:
    while True:
        reconcile_audit_file(app)
        destroy_expired_secrets(app)
        time.sleep(INTERVAL_S)
