import io
import json
import stat
from pathlib import Path

import pytest

from pipelabs.agent.commands import main
from pipelabs.agent.identity import load_identity
from pipelabs.agent.lock import Lock
from tests.unit.agent.stub_service import error


@pytest.fixture
def run(path, capsys):
    """Run a command with the identity; return status, output and errors."""

    def run(command, *arguments):
        status = main([command, "--identity", str(path), *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_enroll_stores_an_identity_and_shows_the_fingerprint(service, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("ple_code\n"))

    status = main(["enroll", service.url + "/", "-"])

    path = Path.home() / ".config/pipelabs-agent/identity.json"
    identity = load_identity(path)
    out = capsys.readouterr().out
    assert status == 0
    assert service.requests[0][2]["code"] == "ple_code"
    assert identity.fingerprint in out
    assert "This host is quoter-1." in out
    assert identity.url == service.url
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


def test_enroll_keeps_an_existing_identity_and_its_code_unless_forced(run, path, service):
    content = path.read_text()
    requests = len(service.requests)

    status, _, err = run("enroll", service.url, "ple_code")
    assert (status, path.read_text(), len(service.requests)) == (78, content, requests)
    assert "add --force" in err

    status, _, _ = run("enroll", "--force", service.url, "ple_code")
    assert status == 0
    assert path.read_text() != content


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (error(401, "code_invalid", "This code is wrong."), "This code is wrong. (code_invalid)"),
        ((500, b""), "The service answered 500. (http_500)"),
        ((201, b"{}"), "is not understood"),
    ],
)
def test_enroll_stores_nothing_when_it_fails(service, tmp_path, capsys, answer, message):
    service.script(answer)

    assert main(["enroll", "--identity", str(tmp_path / "new.json"), service.url, "c"]) == 75

    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_enroll_rejects_a_service_that_got_other_keys(service, tmp_path, capsys):
    service.fingerprint = "0000"

    assert main(["enroll", "--identity", str(tmp_path / "new.json"), service.url, "c"]) == 78

    assert "other keys" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_status_shows_what_the_service_says(run, service, make_agent):
    service.add_key()
    agent = make_agent()
    agent._lock.release()

    status, out, _ = run("status")
    assert status == 0
    assert "quoter-1" in out
    assert "status       active" in out
    assert "leases       1" in out

    report = json.loads(run("status", "--json")[1])
    assert (report["status"], report["epoch"]) == ("active", 2)
    assert report["leases"] == [{"id": service.keys[0].lease_id, "is_superseded": False}]
    assert report["in_use_by"] is None


def test_status_does_not_ask_while_another_process_uses_the_identity(
    run, service, make_agent, identity
):
    old = service.add_key()
    agent = make_agent()
    service.replace(old, denial="key_not_verified")
    agent.turn()
    requests = len(service.requests)

    out = run("status")[1]
    assert "acme/okx/main, replaced" in out
    assert "this is what it last heard" in out
    assert len(service.requests) == requests

    agent.close()
    lock = Lock(identity)
    lock.acquire()
    out = run("status")[1]
    lock.release()
    assert "leases       unknown" in out
    assert "in use by    another process" in out


def test_status_fails_with_the_services_sentence(run, service):
    service.script(error(403, "machine_unapproved", "No owner has approved it."))

    assert run("status")[::2] == (
        75,
        "pipelabs-agent: No owner has approved it. (machine_unapproved)\n",
    )


def test_exec_rejects_what_cannot_be_run(run, service):
    for arguments, message in (
        (["--map", "json"], "Name the engine's command"),
        (["--map", "json", "--on-stop", "'", "--", "true"], "can't be read"),
    ):
        status, _, err = run("exec", *arguments)
        assert status == 78
        assert message in err
    status, _, err = run("exec", "--map", "json", "true")
    assert status == 75
    assert "No grant of this machine selects a key." in err
