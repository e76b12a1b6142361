"""The demo data as a whole: a year of a desk, until now."""

from typing import NamedTuple

from pipelabs.audit import trail
from pipelabs.demo.client_history import plan_clients, plan_statuses
from pipelabs.demo.clients import demo_clients, has_demo_clients
from pipelabs.demo.denials import plan_denials
from pipelabs.demo.history import DAYS, INSTANCE, History
from pipelabs.demo.keys import count_keys, plan_keys
from pipelabs.demo.machines import plan_machines
from pipelabs.demo.markets import plan_markets
from pipelabs.demo.people import TERMINAL, add_sessions, has_demo_admins, plan_people
from pipelabs.demo.quoting import plan_changes, plan_quoting
from pipelabs.demo.rechecks import plan_rechecks
from pipelabs.exchanges.service import ensure_exchanges
from pipelabs.models import now
from pipelabs.models.clock import set_clock
from pipelabs.vault.ring import ring_versions


class Book(NamedTuple):
    """How many rows were created, and how many clients existed."""

    clients: int = 0
    already_there: int = 0
    markets: int = 0
    quoted: int = 0
    keys: int = 0


def ensure_book() -> Book:
    """Create the demo data in the current transaction, unless some of its clients or admins exist.

    Clients whose e-mail address is taken are left out. Without a key ring there are no exchange API
    keys, and no machines that hold them.
    """
    demo = demo_clients()
    if has_demo_clients(demo) or has_demo_admins():
        return Book(already_there=len(demo))
    history = History(now())
    with trail.record_as(INSTANCE), set_clock(history.ago(DAYS + 1)):
        ensure_exchanges(history.actor(TERMINAL))
    plan_people(history)
    clients = plan_clients(history, demo)
    markets = plan_markets(history)
    quoting = plan_quoting(history, clients, markets)
    plan_changes(history, clients, markets, quoting)
    keys = plan_keys(history, clients, quoting.combinations()) if ring_versions() else []
    if keys:
        plan_machines(history, clients, keys)
        plan_rechecks(history)
    plan_statuses(history, clients)
    plan_denials(history, clients)
    history.play()
    add_sessions(history)
    return Book(
        clients=len(clients.ids),
        already_there=len(demo) - len(clients.ids),
        markets=len(markets.ids),
        quoted=len(quoting.ids),
        keys=count_keys() if keys else 0,
    )
