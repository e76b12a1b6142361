"""Check the audit trail: that its rows are genuine, and that its file is written."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from pipelabs.audit import log_file, reconciliation, verification
from pipelabs.audit.verification import Range
from pipelabs.core.settings import setting
from pipelabs.doctor.findings import Finding, count, fail, warn
from pipelabs.models import Proof, now

OVERDUE = timedelta(minutes=5)
"""The service reconciles every minute."""


def check_rows(*, is_full: bool = False) -> Iterator[Finding]:
    """Find rows whose MAC is wrong or can't be verified: in a sample, or among all."""
    proofs: Counter[Proof] = Counter()
    first: dict[Proof, int] = {}
    for row_id, proof in _verify_all() if is_full else _verify_sample():
        proofs[proof] += 1
        first.setdefault(proof, row_id)
    if altered := proofs[Proof.ALTERED]:
        were = "was" if altered == 1 else "were"
        yield fail(
            f"{count(altered, 'audit row')} {were} written or changed by something else, the first"
            f" is {first[Proof.ALTERED]}. Run flask audit verify."
        )
    if unknown := proofs[Proof.UNKNOWN]:
        yield warn(
            f"{count(unknown, 'audit row')} can't be verified, because VAULT_KEYS and SECRET_KEY"
            " have not signed what is there. Run flask audit verify --previous-keys FILE."
        )


def check_file() -> Iterator[Finding]:
    """Find an audit file that can't be written, or that is not the one at its path."""
    handler = log_file.get_file_handler()
    if not handler.is_writable():
        yield fail(
            "The audit file can't be written. Check AUDIT_LOG_FILE, its folder, who owns it, and"
            " that the disk has room."
        )
    elif not handler.has_current_file():
        yield fail(
            "The audit file that is open is not the one at AUDIT_LOG_FILE. Restart the service."
        )


def check_reconciliation() -> Iterator[Finding]:
    """Find an audit file that the service reconciles no longer, or elsewhere."""
    mark = reconciliation.find_mark(setting("INSTANCE"))
    if mark is None:
        return
    if now() - mark.marked_at > OVERDUE:
        yield warn(
            f"The audit file of {mark.instance} was last reconciled at"
            f" {mark.marked_at:%Y-%m-%d %H:%M} UTC. Start the service there, or run flask audit"
            " reconcile."
        )
    if reconciliation.has_lost_place(mark):
        yield warn(
            "The audit file is not the one that the service has written. Run this command in the"
            " folder in which the service starts, or set AUDIT_LOG_FILE to a whole path. If the"
            " file was moved or emptied, run flask audit reconcile."
        )


def _verify_sample() -> Iterator[tuple[int, Proof]]:
    for row in verification.judge_sample():
        yield row.id, row.proof


def _verify_all() -> Iterator[tuple[int, Proof]]:
    for batch in verification.verify(Range()):
        for finding in batch.findings:
            yield finding.id, finding.proof
