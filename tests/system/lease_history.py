"""What the audit trail says about leases: whether the table agrees, and who held a key when."""

from collections import defaultdict

DISAGREEING = """
WITH told AS (
    SELECT DISTINCT ON (details ->> 'lease') details ->> 'lease' AS lease, event
    FROM audit_events
    WHERE event LIKE 'lease.%' AND status = 'SUCCESS'
    ORDER BY details ->> 'lease', id DESC
)
SELECT count(*) FROM leases FULL JOIN told ON told.lease = leases.id::text
WHERE leases.id IS NULL OR told.lease IS NULL
   OR (leases.ended_at IS NULL) <> (told.event IN ('lease.granted', 'lease.renewed'))
"""
EVENTS = """
SELECT event, details ->> 'key' AS key, details ->> 'machine' AS machine FROM audit_events
WHERE event LIKE 'lease.%' AND status = 'SUCCESS' ORDER BY id
"""


def count_disagreeing(running):
    """Return how many leases have another state than their last audit row, or only one of both."""
    [(count,)] = running.query(DISAGREEING)
    return count


def list_shared(running):
    """Return each grant of a key to a machine before another one had acknowledged dropping it."""
    holders, shared = defaultdict(set), []
    for event, key, machine in running.query(EVENTS):
        if event == "lease.acknowledged":
            holders[key].discard(machine)
        elif event in {"lease.granted", "lease.renewed"}:
            holders[key].add(machine)
            shared += [(key, machine)] if len(holders[key]) > 1 else []
    return shared
