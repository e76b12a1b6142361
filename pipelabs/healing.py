"""Entrance four: what a serving process does by itself, each minute and at its start."""

import logging
import threading
import time

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pipelabs import audit_file
from pipelabs.extensions import unit_of_work
from pipelabs.services import audit

EVERY_S = 60
logger = logging.getLogger("pipelabs")


def heal(app: Flask) -> None:
    """Append what the audit file lacks; a fault is logged, and the next minute tries again."""
    try:
        with app.app_context(), unit_of_work():
            appended = audit.reconcile(app.config["INSTANCE"])
            # Whichever process appended: this one's `/ready` is to know that the file is well.
            audit_file.file_handler().append([])
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the audit file was not reconciled: %s", type(error).__name__)
        return
    if appended:
        logger.warning("the audit file lacked lines", extra={"appended": appended})


def start(app: Flask) -> threading.Thread:
    """Heal now and each minute for as long as the process lives; every worker may, one does."""
    thread = threading.Thread(target=_forever, args=(app,), name="healing", daemon=True)
    thread.start()
    return thread


def _forever(app: Flask) -> None:
    while True:
        heal(app)
        time.sleep(EVERY_S)
