import json
import os
import stat
from pathlib import Path

import pytest

from pipelabs.agent import lock as locks
from pipelabs.agent.errors import InUse, SetupError
from pipelabs.agent.identity import find_path, load_identity, reserve
from pipelabs.agent.lock import Lock, read_report


def test_find_path_prefers_what_is_given_then_the_environment_then_systemd(monkeypatch, tmp_path):
    default = find_path()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    without_credential = find_path()
    (tmp_path / "pipelabs-agent").touch()
    credential = find_path()
    monkeypatch.setenv("PIPELABS_AGENT_IDENTITY", "~/own.json")

    assert default == without_credential == Path.home() / ".config/pipelabs-agent/identity.json"
    assert credential == tmp_path / "pipelabs-agent"
    assert find_path() == Path.home() / "own.json"
    assert find_path("given.json") == Path("given.json")


def test_load_identity_returns_what_was_saved_and_repr_shows_no_key(path, service):
    identity = load_identity(path)
    document = json.loads(path.read_text())

    assert identity.url == service.url
    assert identity.machine_id == service.machine_id
    assert identity.signing_public == service.signing_key
    assert identity.sealing_public == service.sealing_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "key" not in repr(identity)
    assert document["signing_key"] not in repr(identity)


def test_load_identity_rejects_a_missing_a_readable_and_a_broken_file(path, monkeypatch):
    with pytest.raises(SetupError, match="Enrol this host first"):
        load_identity(path.with_name("none.json"))

    path.chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        load_identity(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert load_identity(path)

    path.chmod(0o600)
    for content in ("", "{}", "[]", '{"url": "", "machine_id": "", "machine_name": ""}'):
        path.write_text(content)
        with pytest.raises(SetupError, match="is not an identity"):
            load_identity(path)


def test_reserve_never_replaces_an_identity_unless_forced(path, identity):
    content = path.read_text()

    with pytest.raises(SetupError, match="--force"), reserve(path):
        pass
    new = path.with_name("new.json")
    with reserve(new) as reservation:
        new.write_text("another process was faster")
        with pytest.raises(SetupError, match="File exists"):
            reservation.save(identity)
    with reserve(new, is_forced=True) as reservation:
        reservation.save(identity)

    assert path.read_text() == content == new.read_text()
    assert sorted(file.name for file in path.parent.iterdir()) == ["identity.json", "new.json"]


def test_reserve_reports_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(SetupError, match="can't be written"),
        reserve(tmp_path / "file" / "identity.json"),
    ):
        pass


@pytest.mark.parametrize("is_linux", [True, False])
def test_lock_lets_one_process_use_an_identity(identity, monkeypatch, is_linux):
    monkeypatch.setattr(locks, "IS_LINUX", is_linux)
    first, second = Lock(identity), Lock(identity)

    first.acquire()
    with pytest.raises(InUse, match="Another pipelabs-agent process"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.skipif(not locks.IS_LINUX, reason="other systems have no abstract socket names")
def test_lock_recognizes_a_copy_of_an_identity(path, identity):
    copy = path.with_name("copy.json")
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    first = Lock(identity)
    first.acquire()

    with pytest.raises(InUse):
        Lock(load_identity(copy)).acquire()
    first.release()


def test_lock_reports_what_its_process_heard_until_it_is_released(path, identity):
    lock = Lock(identity)
    lock.acquire()
    lock.write_report({"epoch": 7})

    report = read_report(path)
    lock.release()

    assert report
    assert (report["epoch"], report["pid"]) == (7, os.getpid())
    assert read_report(path) is None
