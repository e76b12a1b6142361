"""Each serving process appends what its host's audit file lacks, every minute."""

import logging
import threading
import time

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pipelabs.audit import log_file, reconciliation
from pipelabs.core.db import unit_of_work

INTERVAL_S = 60
logger = logging.getLogger("pipelabs")


def start(app: Flask) -> threading.Thread:
    """Start the thread that reconciles the file now and every minute while the process lives.

    Every process has one. An advisory lock lets one of them do the work.
    """
    thread = threading.Thread(target=_run_forever, args=(app,), name="audit-file", daemon=True)
    thread.start()
    return thread


def reconcile(app: Flask) -> None:
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


def _run_forever(app: Flask) -> None:
    while True:
        reconcile(app)
        time.sleep(INTERVAL_S)
