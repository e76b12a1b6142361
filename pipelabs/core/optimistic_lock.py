"""Optimistic locking: reject an update based on a stale version."""

from pipelabs.core.errors import Stale


def reject_stale(what: str, stored: int, seen: int | None) -> None:
    """Raise `Stale` if the caller's version `seen` is not the stored one; None skips the check.

    The caller holds a lock on the row. `what` names the row in the sentence, such as "The client".
    """
    if seen not in (None, stored):
        sentence = f"{what} has changed: it is at version {stored}, not {seen}."
        raise Stale(sentence, facts={"version": str(seen), "stored": str(stored)})
