"""Replace the keys of engines that quote all the time."""

import io
import threading
from contextlib import ExitStack, redirect_stdout
from datetime import datetime
from itertools import cycle

import ccxt
import pytest

from dev.quoter import cancel_quotes, replace_quotes
from pipelabs import agent as pipelabs_agent
from pipelabs.agent.commands import main
from pipelabs.agent.exchange import ATTRIBUTES
from tests.instances import run
from tests.sizes import sized
from tests.stub_exchange import Scenario, credentials, running
from tests.stub_exchange.orders import Orders
from tests.waiting import wait_for

DAY_S = 86_400
BETWEEN_QUOTES_S = 0.5
LONG_S = 600
"""Enough for engines that share two processors with everything that they call."""
DESTROY = """
import sys
from datetime import UTC, datetime, timedelta

import time_machine

from pipelabs import create_app
from pipelabs.jobs.tasks import destroy_due_secrets

app = create_app()
moment = datetime.now(UTC) + timedelta(hours=float(sys.argv[1]))
with app.app_context(), time_machine.travel(moment):
    destroy_due_secrets(0)
"""
"""The job that destroys secrets, as it runs so many hours later."""
BEFORE, AFTER = 20, 24.1
"""Hours from now, soon after a cut-over: before and after a superseded key may be destroyed."""


@pytest.fixture
def stub():
    """A stub exchange whose timer cancels no orders, however long an engine takes."""
    with running() as stub:
        stub.orders = Orders(clock=lambda: 0.0)
        yield stub


@pytest.fixture
def enrol(desk, tmp_path):
    """Return what enrols a machine for a key, and returns the path of its identity and the machine.

    It may hold the key for a day, and another day without the service.
    """
    ports = cycle(desk.running.ports)

    def enrol(name, key, **terms):
        path, url = str(tmp_path / f"{name}.json"), f"http://127.0.0.1:{next(ports)}"

        def enrol_host(code):
            with redirect_stdout(io.StringIO()) as printed:
                assert main(["enroll", "--identity", path, url, code]) == 0
            return printed.getvalue()

        terms |= {"client_id": key["client_id"], "ttl_s": DAY_S, "hold_s": DAY_S}
        return path, desk.admit(name, enrol_host, **terms)

    return enrol


class Quoter:
    """An engine that quotes in a thread of its own, with a leased key."""

    def __init__(self, identity, stub):
        self.rounds, self.failures = 0, []
        self._over = threading.Event()
        self.agent = pipelabs_agent.connect(identity=identity)
        self._exchange = self.agent.ccxt("okx", **make_options(stub))
        self._thread = threading.Thread(target=self._quote)
        self._thread.start()

    def close(self):
        """Cancel the quotes and give the key back."""
        self._over.set()
        self._thread.join()
        self.agent.close()

    def _quote(self):
        while not self._over.wait(BETWEEN_QUOTES_S):
            try:
                replace_quotes(self._exchange)
            except (ccxt.BaseError, pipelabs_agent.AgentError) as error:
                self.failures.append(error)
            else:
                self.rounds += 1
        cancel_quotes(self._exchange)
        self._exchange.session.close()


class LateEngine:
    """An engine that keeps the credentials itself, and moves to new ones when it may."""

    def __init__(self, identity, stub):
        self.has_heard, self.may_move = threading.Event(), threading.Event()
        self.agent = pipelabs_agent.connect(identity=identity)
        self.exchange = ccxt.okx(make_options(stub))
        self.use(self.agent.credentials("okx"))
        self.agent.on_rotate(self._move)

    def use(self, parts):
        for name, text in parts.items():
            setattr(self.exchange, ATTRIBUTES[name], text)

    def close(self):
        self.may_move.set()
        self.agent.close()
        self.exchange.session.close()

    def _move(self, key):
        self.has_heard.set()
        assert self.may_move.wait(LONG_S)
        self.use(self.agent.read_credentials(key))


def make_options(stub):
    """Return the options of ccxt."""
    return {"urls": {"api": {"rest": f"{stub.base_url}/okx"}}, "enableRateLimit": False}


@pytest.fixture
def start(stub):
    """Return what starts an engine of a class with an identity."""
    with ExitStack() as stack:

        def start(engine_class, identity):
            engine = engine_class(identity, stub)
            stack.callback(engine.close)
            return engine

        yield start


def wait_for_rounds(quoters, count=2):
    """Wait until each engine has replaced its quotes some more times."""
    goals = [quoter.rounds + count for quoter in quoters]
    wait_for(
        lambda: all(q.failures or q.rounds >= goal for q, goal in zip(quoters, goals, strict=True)),
        LONG_S,
    )
    assert [quoter.failures for quoter in quoters if quoter.failures] == []


def make_parts(count, number):
    return [credentials("okx", Scenario.QUOTER, account, number) for account in range(count)]


def replace_all(desk, keys, parts):
    """Replace the keys, cut over, and return the new ones when every machine has moved."""
    candidates = [desk.replace_key(*pair) for pair in zip(keys, parts, strict=True)]
    for candidate in candidates:
        desk.post(f"/api-keys/{candidate['id']}/cut-over")
    wait_for(lambda: count_moved(desk, keys) == len(keys), LONG_S)
    return candidates


def count_moved(desk, keys):
    """Return how many machines have acknowledged that they moved away from these keys."""
    ids = {key["id"] for key in keys}
    reasons = [lease["end_reason"] for lease in desk.leases() if lease["key_id"] in ids]
    return reasons.count("superseded")


def find_longest_move_s(desk):
    """Return how long the slowest machine took to acknowledge that it has moved to a new key."""
    moved = [lease for lease in desk.leases() if lease["end_reason"] == "superseded"]
    times = [
        [datetime.fromisoformat(lease[name]) for name in ("superseded_at", "acknowledged_at")]
        for lease in moved
    ]
    return max((last - first).total_seconds() for first, last in times)


def list_held(desk):
    return sorted(lease["key_id"] for lease in desk.leases(is_live="yes"))


def destroy_due(desk, hours_later, keys):
    """Run the job as it runs so many hours from now, and return the stages of the keys."""
    run(["-c", DESTROY, str(hours_later)], desk.running.environment)
    return {desk.get(f"/api-keys/{key['id']}")["api_key"]["stage"] for key in keys}


@sized(6, 50)
def test_cut_over_of_keys_in_use_rejects_no_order(desk, stub, enrol, start, size, record_property):
    old, new = make_parts(size, 1), make_parts(size, 2)
    keys = [desk.add_key(f"engine-{place}", parts) for place, parts in enumerate(old)]
    identities = [enrol(f"quoter-{place}", key)[0] for place, key in enumerate(keys)]
    quoters = [start(Quoter, identity) for identity in identities]
    wait_for_rounds(quoters)
    assert list_held(desk) == sorted(key["id"] for key in keys)

    replacements = replace_all(desk, keys, new)

    # Orders that were signed with the old keys may still be on their way.
    wait_for_rounds(quoters)
    before = [stub.orders.accepted[parts["api_key"]] for parts in old]
    wait_for_rounds(quoters)
    assert list_held(desk) == sorted(key["id"] for key in replacements)
    assert destroy_due(desk, BEFORE, keys) == {"superseded"}
    assert destroy_due(desk, AFTER, keys) == {"destroyed"}
    stub.deleted.update(parts["api_key"] for parts in old)
    wait_for_rounds(quoters)
    for quoter in quoters:
        quoter.close()

    by_old, by_new = (
        [stub.orders.accepted[parts["api_key"]] for parts in generation]
        for generation in (old, new)
    )
    record_property("orders with old keys, new keys", (sum(by_old), sum(by_new)))
    record_property("rejected", stub.orders.rejected.total())
    record_property("longest move s", find_longest_move_s(desk))
    assert by_old == before
    assert min(by_old + by_new) > 0
    assert sum(by_old + by_new) == sum(2 * quoter.rounds for quoter in quoters)
    assert stub.orders.rejected.total() == 0


def test_replaced_key_is_retained_until_its_last_machine_has_moved(desk, stub, enrol, start):
    [old], [new] = make_parts(1, 1), make_parts(1, 2)
    key = desk.add_key("main", old)
    identity, _ = enrol("quoter-1", key, max_holders=2)
    late_identity, late_machine = enrol("quoter-2", key, max_holders=2)
    start(Quoter, identity)
    late = start(LateEngine, late_identity)

    replace_all(desk, [key], [new])

    assert late.has_heard.wait(LONG_S)
    replace_quotes(late.exchange)
    assert destroy_due(desk, AFTER, [key]) == {"superseded"}
    [behind] = desk.leases(api_key_id=key["id"], is_live="yes")
    assert (behind["machine_id"], bool(behind["superseded_at"])) == (late_machine["id"], True)

    late.may_move.set()
    wait_for(lambda: count_moved(desk, [key]) == 2)
    assert destroy_due(desk, BEFORE, [key]) == {"superseded"}
    assert destroy_due(desk, AFTER, [key]) == {"destroyed"}
    stub.deleted.add(old["api_key"])
    replace_quotes(late.exchange)
    assert stub.orders.rejected.total() == 0


def test_order_of_an_engine_that_keeps_a_deleted_key_is_rejected(desk, stub, enrol, start):
    [old], [new] = make_parts(1, 1), make_parts(1, 2)
    key = desk.add_key("main", old)
    late = start(LateEngine, enrol("quoter-1", key)[0])
    late.exchange.load_markets()
    candidate = desk.replace_key(key, new)
    desk.post(f"/api-keys/{candidate['id']}/cut-over")
    assert late.has_heard.wait(LONG_S)
    replace_quotes(late.exchange)

    stub.deleted.add(old["api_key"])

    with pytest.raises(ccxt.ExchangeError, match="50119"):
        replace_quotes(late.exchange)
    assert dict(stub.orders.rejected) == {old["api_key"]: 1}
