import threading
from uuid import uuid4

import pytest

import pipelabs.agent
from pipelabs.agent.agent import uptime_s
from pipelabs.agent.errors import Denied, InUse, NotLeased, Stopped, Unreachable
from pipelabs.agent.keys import Key
from tests.unit.agent.stub_service import DEADLINE_S, error


def list_names(agent):
    held = agent.keys()
    return [key.name for key in held]


def drain(agent):
    """Do what the second thread does with the changes until now."""
    while not agent._holdings.changes.empty():
        agent.notify(agent._holdings.changes.get())
    agent.turn()


def test_connect_leases_the_keys_polls_and_gives_them_back(path, service):
    okx, bybit = service.add_key(), service.add_key(client="zeta", exchange="bybit")

    with pipelabs.agent.connect(identity=str(path)) as agent:
        names = list_names(agent)
        credentials = agent.credentials("okx", client="acme", label="main")
        service.wait_for_requests(3)

    assert names == ["acme/okx/main", "zeta/bybit/main"]
    assert credentials["api_key"] == "k-1"
    assert {okx.lease_id, bybit.lease_id} == set(service.acked)
    with pytest.raises(Stopped, match="The agent was closed"):
        agent.credentials("okx")


def test_connect_rejects_a_second_agent_of_the_same_identity(path, service):
    with (
        pipelabs.agent.connect(identity=str(path)),
        pytest.raises(InUse, match="Another pipelabs-agent"),
    ):
        pipelabs.agent.connect(identity=str(path))


def test_open_tries_again_while_the_service_is_away(make_agent, service):
    service.add_key()
    service.script((503, b""), (503, b""))

    assert list_names(make_agent()) == ["acme/okx/main"]


def test_open_gives_up_after_three_tries(make_agent, service):
    service.script(*[(503, b"")] * 3)

    with pytest.raises(Unreachable):
        make_agent()
    assert service.count("/state") == 3


def test_open_raises_when_the_machine_is_denied(make_agent, service):
    service.script(error(403, "machine_unapproved", "No owner has approved this machine yet."))

    with pytest.raises(Denied, match="No owner has approved"):
        make_agent()


def test_open_leases_only_the_selected_keys(make_agent, service):
    bybit, okx = service.add_key(exchange="bybit"), service.add_key()

    agent = make_agent("ACME/okx/main")

    assert list_names(agent) == [okx.name]
    assert not bybit.is_leased
    leases = [document for _, target, document in service.requests if "/leases" in target]
    assert leases == [{"key_ids": [okx.id]}]
    assert service.count("/keys") == 2


def test_turn_leases_only_the_replacement_of_a_selected_key(make_agent, service):
    bybit, okx = service.add_key(exchange="bybit"), service.add_key()
    agent = make_agent("acme/okx/main")

    new = service.replace(okx)
    agent.turn()

    [key] = agent.keys()
    assert key.id == new.id
    assert not bybit.is_leased


def test_open_ignores_denials_of_keys_that_are_not_selected(make_agent, service):
    service.add_key()
    service.add_key(exchange="bybit", denial="stopped")

    assert len(make_agent("acme/okx/main").keys()) == 1
    assert service.acks == []


def test_open_by_id_leases_nothing_else(make_agent, service):
    okx = service.add_key()
    service.add_key(exchange="bybit")

    agent = make_agent(okx.id)

    assert list_names(agent) == [okx.name]
    assert service.acks == []


def test_open_raises_for_a_selected_key_that_no_grant_selects(make_agent, service):
    okx = service.add_key()

    for selector in ("acme/okx/other", str(uuid4())):
        with pytest.raises(NotLeased, match=f"selects {selector}"):
            make_agent(okx.name, selector)
    assert okx.lease_id in service.acked


def test_open_raises_for_an_id_that_no_grant_selects(make_agent, service):
    service.add_key()

    with pytest.raises(NotLeased, match="No grant of this machine selects"):
        make_agent(str(uuid4()))


def test_open_leases_nothing_if_no_grant_selects_the_selected_key(make_agent, service):
    service.add_key()

    with pytest.raises(NotLeased, match="selects acme/bybit/main"):
        make_agent("acme/bybit/main")
    assert service.count("/leases") == 0


def test_credentials_are_found_by_client_name_or_id(make_agent, service):
    key = service.add_key()
    agent = make_agent()

    for client in ("acme", "ACME", key.client_id, None):
        assert agent.credentials("OKX", client=client, label=None)["api_secret"] == "s-1"
    for names in ({"client": "zeta"}, {"label": "other"}):
        with pytest.raises(NotLeased, match="No grant of this machine selects"):
            agent.credentials("okx", **names)
    service.add_key(label="hedge")
    agent.turn()
    with pytest.raises(NotLeased, match="acme/okx/hedge, acme/okx/main"):
        agent.credentials("okx")


def test_credentials_raise_for_denied_keys_with_the_reason(make_agent, service):
    service.add_key(denial="held_elsewhere")
    service.add_key(exchange="bybit", denial="stopped")
    service.add_key(exchange="kraken", is_garbled=True)
    agent = make_agent()

    with pytest.raises(NotLeased, match="held_elsewhere") as raised:
        agent.credentials("okx")
    assert not isinstance(raised.value, Stopped)
    with pytest.raises(Stopped, match="A stop keeps this key"):
        agent.credentials("bybit")
    with pytest.raises(NotLeased, match=r"can't be opened. \(unreadable\)"):
        agent.credentials("kraken")
    with pytest.raises(NotLeased, match="not_granted"):
        agent.read_credentials(Key("id", "c", "acme", "okx", "other", is_testnet=False))


def test_turn_ends_a_stopped_lease_and_acknowledges_after_the_callback(make_agent, service):
    key = service.add_key()
    agent = make_agent()
    agent.credentials("okx")
    calls = []
    agent.on_stop(lambda *arguments: calls.append((arguments, list(service.acks))))

    service.stop(key)
    agent.turn()
    before = list(service.acks)
    drain(agent)

    [((stopped, reason), acks_then)] = calls
    assert (stopped.name, reason) == ("acme/okx/main", "The service has ended the lease.")
    assert before == acks_then == []
    assert service.acks == [[key.lease_id]]
    with pytest.raises(Stopped, match="A stop keeps this key"):
        agent.credentials("okx")


def test_turn_holds_a_key_again_that_was_resumed(make_agent, service):
    key = service.add_key()
    agent = make_agent()

    service.stop(key)
    agent.turn()
    service.resume(key)
    agent.turn()
    drain(agent)

    assert agent.credentials("okx")["api_key"] == "k-1"
    assert service.acks == []


def test_notify_acknowledges_only_what_was_dropped(make_agent, service, caplog):
    key = service.add_key()
    agent = make_agent()
    agent.credentials("okx")

    service.stop(key)
    agent.turn()
    drain(agent)
    assert "is not acknowledged" in caplog.text

    service.resume(key)
    agent.turn()
    agent.on_stop(lambda *_: int("secret"))
    agent.on_stop(lambda *_: None)
    service.stop(key)
    agent.turn()
    drain(agent)
    assert "A callback has failed: ValueError" in caplog.text
    assert "secret" not in caplog.text
    assert service.acks == []


def test_notify_acknowledges_what_the_program_has_not_read(make_agent, service):
    key = service.add_key()
    agent = make_agent()

    service.stop(key)
    agent.turn()
    drain(agent)

    assert service.acked == [key.lease_id]


@pytest.mark.parametrize("selector", [None, "acme/okx/main"])
def test_turn_moves_to_a_replacement_before_it_acknowledges(make_agent, service, selector):
    old = service.add_key()
    service.add_key(exchange="bybit")
    agent = make_agent(*filter(None, [selector]))
    agent.credentials("okx")
    acked = list(service.acked)
    rotated = []
    agent.on_rotate(lambda key: rotated.append((key.id, agent.read_credentials(key)["api_key"])))

    new = service.replace(old)
    agent.turn()
    assert old.lease_id not in service.acked
    drain(agent)

    assert rotated == [(new.id, "k-1-new")]
    assert old.lease_id in service.acked[len(acked) :]
    assert new.lease_id not in service.acked


def test_turn_keeps_a_superseded_key_whose_replacement_is_denied(make_agent, service, clock):
    old = service.add_key()
    agent = make_agent()

    service.replace(old, denial="key_not_verified")
    agent.turn()
    leased = service.count("/leases")
    agent.turn()
    assert agent.credentials("okx")["api_key"] == "k-1"
    assert service.count("/leases") == leased

    clock.now += service.ttl_s
    agent.turn()
    with pytest.raises(Stopped, match="expired"):
        agent.credentials("okx")


def test_turn_extends_a_lease_when_a_third_of_its_time_is_left(make_agent, service, clock):
    service.add_key()
    agent = make_agent()
    agent.credentials("okx")

    clock.now += 590
    agent.turn()
    early = service.count("/leases")
    clock.now += 20
    agent.turn()

    assert (early, service.count("/leases")) == (1, 2)
    assert service.acks == []


def test_turn_holds_a_key_until_it_expires_when_it_cannot_be_extended(make_agent, service, clock):
    key = service.add_key()
    service.hold_s = 0
    agent = make_agent()
    key.denial = "undecryptable"

    clock.now += 610
    agent.turn()
    assert len(agent.keys()) == 1
    clock.now += 300
    agent.turn()

    assert agent.keys() == []


def test_turn_drops_a_key_whose_extension_is_denied(make_agent, service, clock):
    key = service.add_key()
    agent = make_agent()
    key.denial = "examination_too_old"

    clock.now += 610
    agent.turn()

    assert agent.keys() == []
    with pytest.raises(Stopped, match="examination_too_old"):
        agent.credentials("okx")


def test_turn_polls_on_when_leasing_fails(make_agent, service, clock, caplog):
    service.add_key()
    agent = make_agent()
    service.script((500, b""), path="/leases")

    clock.now += 610
    agent.turn()
    agent.turn()
    assert "Can't lease keys" in caplog.text
    assert (service.count("/leases"), service.count("/state")) == (2, 3)
    clock.now += 1
    agent.turn()

    assert service.count("/leases") == 3


def test_turn_holds_a_key_for_hold_s_while_the_service_is_away(make_agent, service, clock):
    service.add_key()
    agent = make_agent()
    service.script((503, b""), path="/leases")
    service.script(*[(503, b"")] * 3, path="/state")

    clock.now += service.hold_s - 1
    agent.turn()
    assert len(agent.keys()) == 1
    clock.now += 2
    agent.turn()
    drain(agent)
    agent.turn()

    assert agent.keys() == []
    assert len(service.acks) == 1


def test_turn_leases_again_what_expired_while_the_service_was_away(make_agent, service, clock):
    key = service.add_key()
    agent = make_agent()

    clock.now += service.ttl_s + 1
    service.skew_s += service.ttl_s + 1
    key.is_leased, service.epoch = False, service.epoch + 1
    agent.turn()

    assert list_names(agent) == [key.name]
    assert agent._holdings.changes.empty()


def test_turn_drops_what_was_stopped_while_the_service_was_away(make_agent, service, clock):
    key = service.add_key()
    agent = make_agent()

    clock.now += service.ttl_s + 1
    service.skew_s += service.ttl_s + 1
    service.script((500, b""), path="/leases")
    service.stop(key)
    agent.turn()

    assert list_names(agent) == []


def test_credentials_are_dropped_after_30_s_without_the_service_if_so_granted(
    make_agent, service, clock
):
    service.add_key()
    service.when_away = "drop"
    agent = make_agent()

    clock.now += 29
    assert agent.credentials("okx")
    clock.now += 2
    with pytest.raises(Stopped, match="expired"):
        agent.credentials("okx")


@pytest.mark.parametrize("code", ["machine_suspended", "machine_unknown"])
def test_turn_drops_everything_when_the_machine_is_denied(make_agent, service, code, caplog):
    key = service.add_key()
    agent = make_agent()
    service.script(error(403, code, "Denied."), error(403, code, "Denied."), path="/state")

    agent.turn()
    with pytest.raises(Stopped, match=code):
        agent.credentials("okx")
    drain(agent)

    assert caplog.text.count("The service denies this machine") == 1
    assert service.acked == [key.lease_id]


def test_turn_leases_nothing_while_the_machine_is_suspended(make_agent, service):
    key = service.add_key()
    agent = make_agent()

    service.status, service.epoch = "suspended", service.epoch + 1
    agent.turn()
    drain(agent)
    assert (service.count("/leases"), service.acked) == (1, [key.lease_id])

    service.status, service.epoch = "active", service.epoch + 1
    agent.turn()
    assert len(agent.keys()) == 1


def test_turn_sends_an_acknowledgement_again_unless_it_is_rejected(make_agent, service, caplog):
    key = service.add_key()
    agent = make_agent()
    service.script((503, b""), (400, b""), path="/acks")

    service.stop(key)
    agent.turn()
    drain(agent)
    assert agent._holdings.pending_acks() == [key.lease_id]
    agent.turn()

    assert "did not take the acknowledgement" in caplog.text
    assert agent._holdings.pending_acks() == []


def test_agent_waits_longer_with_each_failure_up_to_5_s(make_agent, monkeypatch):
    agent = make_agent()
    monkeypatch.setattr("random.uniform", max)
    waits = []

    for failures in (0, 1, 2, 100):
        agent._failures = failures
        waits.append(agent._wait_s())

    assert waits == [0.02, 0.04, 0.08, 5.0]


def test_threads_stop_and_acknowledge_without_being_asked(make_agent, service):
    key = service.add_key()
    agent = make_agent()
    stopped = threading.Event()
    agent.on_stop(lambda *_: stopped.set())
    agent.start()

    service.stop(key)

    assert stopped.wait(DEADLINE_S)
    service.wait_for_ack(key)


def test_threads_end_a_lease_that_expires_while_the_service_is_frozen(make_agent, service, clock):
    service.add_key()
    agent = make_agent()
    stopped = threading.Event()
    agent.on_stop(lambda *_: stopped.set())
    service.script("freeze")
    agent.start()

    service.wait_for_requests(1)
    clock.now += service.hold_s + 1

    assert stopped.wait(DEADLINE_S)
    service.thawed.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_agent_drops_everything_if_its_thread_fails(make_agent, service, monkeypatch):
    service.add_key()
    agent = make_agent()
    stopped = threading.Event()
    agent.on_stop(lambda *_: stopped.set())
    monkeypatch.setattr(agent, "turn", lambda: 1 // 0)

    agent.start()

    assert stopped.wait(DEADLINE_S)
    with pytest.raises(Stopped, match="agent_failed"):
        agent.credentials("okx")


def test_close_may_be_called_by_a_callback(make_agent, service):
    key = service.add_key()
    agent = make_agent()
    closed = threading.Event()

    def close(key, reason):
        agent.close()
        closed.set()

    agent.on_stop(close)
    agent.start()
    service.stop(key)

    assert closed.wait(DEADLINE_S)


def test_uptime_never_decreases():
    assert uptime_s() <= uptime_s()


def test_open_gives_back_keys_whose_grant_says_push(make_agent, service):
    okx = service.add_key(delivery="push")
    service.add_key(exchange="bybit")

    agent = make_agent()

    assert list_names(agent) == ["acme/bybit/main"]
    assert service.acked == [okx.lease_id]
    with pytest.raises(NotLeased, match=r"is pushed. Use pipelabs-agent push"):
        agent.credentials("okx")


def test_turn_ends_a_key_whose_grant_says_push_now_before_it_acknowledges(make_agent, service):
    key = service.add_key()
    agent = make_agent()
    agent.credentials("okx")
    acked = []
    agent.on_stop(lambda *_: acked.append(list(service.acked)))

    key.delivery = "push"
    service.add_key(exchange="bybit")
    agent.turn()
    service.add_key(exchange="kraken")
    agent.turn()
    drain(agent)

    assert acked == [[]]
    assert service.acked == [key.lease_id]
    with pytest.raises(Stopped, match="is pushed"):
        agent.credentials("okx")
