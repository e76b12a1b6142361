"""Why a lease ended, a key could not be checked or something was denied, in words."""

from collections.abc import Mapping

from pipelabs.audit.events import Event
from pipelabs.models import LeaseEnd
from pipelabs.vault.probe.report import Failure

LEASE_ENDS: Mapping[str, str] = {
    LeaseEnd.CLIENT_CLOSED: "the client was suspended or offboarded",
    LeaseEnd.EXCHANGE_CLOSED: "the exchange was disabled",
    LeaseEnd.EXPIRED: "it was not renewed",
    LeaseEnd.GRANT_ENDED: "its grant ended",
    LeaseEnd.KEY_EXPIRED: "the key has expired",
    LeaseEnd.KEY_NOT_VERIFIED: "the key is no longer verified",
    LeaseEnd.KEY_REVOKED: "the key was revoked",
    LeaseEnd.MACHINE_CLOSED: "the machine was suspended or retired",
    LeaseEnd.RETURNED: "the machine returned the key",
    LeaseEnd.STOPPED: "a stop was raised",
    LeaseEnd.SUPERSEDED: "another key replaced it",
}
"""Why a lease ended."""
PROBE_FAILURES: Mapping[str, str] = {
    Failure.ADDRESS: "the exchange does not accept it from our IP address",
    Failure.BUSY: "the exchange was busy",
    Failure.CLOCK: "the exchange rejected the time of the request",
    Failure.CREDENTIALS: "the exchange does not accept it",
    Failure.NONCE: "another program uses it",
    Failure.NOT_JSON: "the exchange's response was not valid JSON",
    Failure.OTHER: "the exchange answered with an error that does not describe the key",
    Failure.PERMISSION: "it may not read its own permissions",
    Failure.REDIRECT: "the exchange redirected the request",
    Failure.REJECTED: "the exchange rejected it without a clear reason",
    Failure.TIMEOUT: "the exchange did not answer in time",
    Failure.UNREACHABLE: "the exchange could not be reached",
}
"""Why a key could not be checked."""
FACT_WORDS: Mapping[tuple[str, str], Mapping[str, str]] = {
    (Event.API_KEY_VERIFICATION_FAILED, "failure"): PROBE_FAILURES,
    (Event.LEASE_ENDED, "reason"): LEASE_ENDS,
}
"""Event and fact → the words of its values. Other facts are shown as they are."""
REASONS: Mapping[str, str] = {
    "body_required": "the request had no body",
    "credentials_rejected": "the exchange rejected the key",
    "database_busy": "the database was busy",
    "database_unavailable": "the database was unavailable",
    "duplicate": "it is taken already",
    "forbidden": "their role does not allow it",
    "invalid_input": "the input was invalid",
    "invalid_transition": "its status does not allow it",
    "not_found": "there is nothing of this id",
    "own_request": "it was their own request",
    "rate_limited": "there were too many requests",
    "stale_version": "it was changed by someone else meanwhile",
    "undecryptable": "the key can't be decrypted",
    "unauthenticated": "not signed in",
    "withdrawal_allowed": "the key can withdraw",
    "wrong_credentials": "the e-mail address or the password was wrong",
    "wrong_password": "the password was wrong",
}
"""Error code → why something was denied. Other codes are shown as they are, without underscores."""
