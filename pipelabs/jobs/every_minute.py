"""Entrance four: what a serving process does by itself, each minute and at its start."""

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

EVERY_S = 60
NAME = "service"
"""Who acts in the audit trail where nobody has asked."""
logger = logging.getLogger("pipelabs")


def reconcile_audit_file(app: Flask) -> None:
    """Append what the audit file lacks; a fault is logged, and the next minute tries again."""
    try:
        with app.app_context(), unit_of_work():
            appended = reconciliation.reconcile(app.config["INSTANCE"])
            # Whichever process appended: this one's `/ready` is to know that the file is well.
            log_file.get_file_handler().append([])
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the audit file was not reconciled: %s", type(error).__name__)
        return
    if appended:
        logger.warning("the audit file lacked lines", extra={"appended": appended})


def destroy_expired_secrets(app: Flask) -> None:
    """Destroy replaced API keys whose day is over, and complain of a ring that lacks a key."""
    itself = Actor(request_id=secrets.token_hex(4), name=NAME)
    try:
        with app.app_context(), unit_of_work():
            destroyed = replacement.destroy_due(itself)
            missing = rotation.missing_versions()
    except (SQLAlchemyError, PipeLabsError) as error:
        logger.warning("no replaced API key was destroyed: %s", type(error).__name__)
        return
    if destroyed:
        logger.info("replaced API keys were destroyed", extra={"destroyed": destroyed})
    if missing:
        logger.error("VAULT_KEYS lacks versions that rows need: %s", missing)


def start(app: Flask) -> threading.Thread:
    """Heal now and each minute for as long as the process lives; every worker may, one does."""
    thread = threading.Thread(target=_forever, args=(app,), name="healing", daemon=True)
    thread.start()
    return thread


def _forever(app: Flask) -> None:
    while True:
        reconcile_audit_file(app)
        destroy_expired_secrets(app)
        time.sleep(EVERY_S)
