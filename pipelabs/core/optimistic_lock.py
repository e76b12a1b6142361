"""Of two edits that were made from the same version, the second is refused."""

from pipelabs.core.errors import Stale


def reject_stale(what: str, stored: int, seen: int | None) -> None:
    """Raise `Stale` if the caller has seen another version than the stored one; None asks nothing.

    To be asked of a row that is locked, by which the sentence calls it: "The client".
    """
    if seen not in (None, stored):
        sentence = f"{what} has changed: it is at version {stored}, not {seen}."
        raise Stale(sentence, facts={"version": str(seen), "stored": str(stored)})
