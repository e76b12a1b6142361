"""Every row of the trail that the service did not write as it is, is found."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.audit import trail, verification
from pipelabs.audit.events import Event
from pipelabs.audit.verification import Range
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.keyring import derive_audit_keys
from pipelabs.jobs import tasks
from pipelabs.models import AuditEvent, Proof, Role
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_body

EVENTS = "/api/admin/audit-events"
ROWS, EDITS, INSERTS = 1_500, 250, 250
OTHER = {
    "uid": "gen_random_uuid()",
    "at": "at + interval '1 millisecond'",
    "instance": "instance || '-2'",
    "admin_id": "gen_random_uuid()",
    "actor": "'somebody@desk.local'",
    "address": "'198.51.100.9'",
    "request_id": "request_id || '0'",
    "status": "'ERROR'",
    "event": "'client.updated'",
    "client_id": "gen_random_uuid()",
    "http": "coalesce(http, 0) + 1",
    "ms": "ms + 0.1",
    "details": """details || '{"tier": "Enterprise"}'""",
    "mac_key": "mac_key || '0'",
    "mac": "set_byte(mac, 7, get_byte(mac, 7) # 1)",
}
"""Another value of each column, in SQL."""
COPY = f"""
INSERT INTO audit_events ({", ".join(OTHER)})
SELECT {", ".join("gen_random_uuid()" if name == "uid" else name for name in OTHER)}
FROM audit_events WHERE id = :id RETURNING id
"""  # noqa: S608 - columns of this file

pytestmark = pytest.mark.own_database


@pytest.fixture
def trail_of(app):
    """Return a maker of events; it returns their ids."""

    def make(count):
        with app.app_context(), unit_of_work():
            for number in range(count):
                facts = {"name": f"Клиент {number} “\\ \x7f", "tier": "Basic", "a": "1"}
                trail.record(Event.CLIENT_CREATED, make_actor(), facts=facts)
        with app.app_context():
            query = text("SELECT id FROM audit_events ORDER BY id")
            return list(db.session.scalars(query))

    return make


@pytest.fixture
def plant(urls):
    """Return a function that runs SQL as the owner, with the triggers off; it answers a value."""
    engine = create_engine(urls["owner"], poolclass=NullPool)

    def run(statement, **values):
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            result = connection.execute(text(statement), values)
            return result.scalar() if result.returns_rows else None

    return run


@pytest.fixture
def verify(app):
    """Return a function that verifies rows: the ids of those not valid, and the count of all."""

    def run(**limits):
        with app.app_context():
            batches = list(verification.verify(Range(**limits)))
        ids = [finding.id for batch in batches for finding in batch.findings]
        return ids, sum(batch.verified for batch in batches)

    return run


@pytest.fixture
def command(app):
    return lambda *words: app.test_cli_runner().invoke(args=["audit", "verify", *words])


def edit(plant, row_id, column):
    plant(
        f"UPDATE audit_events SET {column} = {OTHER[column]} WHERE id = :id",  # noqa: S608 - as above
        id=row_id,
    )


def test_verify_finds_every_edit_and_insert_and_nothing_else(
    trail_of, plant, verify, monkeypatch, record_property
):
    monkeypatch.setattr(verification, "BATCH", 400)
    ids = trail_of(ROWS)
    assert verify() == ([], ROWS)
    chance = random.Random(14)  # noqa: S311 - the same rows each time
    edited = chance.sample(ids, EDITS)
    columns = list(OTHER)

    for place, row_id in enumerate(edited):
        edit(plant, row_id, columns[place % len(columns)])
    inserted = [plant(COPY, id=chance.choice(ids)) for _ in range(INSERTS)]
    found, count = verify()

    record_property("found", f"{len(found)} of {EDITS + INSERTS}")
    assert found == sorted([*edited, *inserted])
    assert count == ROWS + INSERTS


def test_verify_accepts_rows_of_requests(client, operator, verify):
    for body in (make_body(), make_body(), {"name": 1}, make_body(name="a\tb")):
        client.post(QUICK_CLIENT, json=body, headers=operator)
    client.post("/api/auth/login", json={"email": "x@y.test", "password": "z\n\\N"})

    assert verify() == ([], 5)


WHOLE_COPY = COPY.replace("SELECT gen_random_uuid()", "SELECT uid")
"""Its MAC is right."""


def test_verify_finds_copies_of_whole_rows(trail_of, plant, verify, command):
    first, second, third = trail_of(3)

    copies = [plant(WHOLE_COPY, id=row_id) for row_id in (first, first, third)]
    edit(plant, copies[2], "status")

    # By their MACs first, then by their uid.
    assert verify() == ([copies[2], *copies[:2]], 6)
    assert verify(from_id=second, to_id=third) == ([], 2)
    assert f"row {copies[0]} " in command().output


@pytest.mark.parametrize("column", [*OTHER])
def test_an_altered_row_is_marked_in_the_api_and_in_the_console(
    trail_of, plant, client, viewer, console, column
):
    row_id, other = trail_of(2)
    edit(plant, row_id, column)
    proof = "unknown" if column == "mac_key" else "altered"
    mark = "not verifiable" if column == "mac_key" else "altered"

    listed = client.get(f"{EVENTS}?size=25", headers=viewer).json["data"]
    shown = client.get(f"{EVENTS}/{row_id}", headers=viewer).json["audit_event"]
    browser = console(Role.VIEWER)
    pages = [browser.get(f"/admin/audit{path}").text for path in ("", f"/{row_id}")]

    proofs = {int(event["id"]): event["proof"] for event in listed}
    assert (proofs[row_id], proofs[other], shown["proof"]) == (proof, "valid", proof)
    assert all(mark in page for page in pages)
    assert "MAC is wrong" in pages[1] or "can't be verified" in pages[1]
    page = browser.get(f"/admin/audit/{other}").text
    assert "MAC is wrong" not in page
    assert "can't be verified" not in page


def test_verify_command_names_the_first_row_and_fails(trail_of, plant, command):
    ids = trail_of(5)
    clean = command()
    edit(plant, ids[3], "actor")
    edit(plant, ids[1], "details")

    result = command()

    assert clean.exit_code == 0
    assert clean.stdout.startswith("5 rows verified, ")
    assert clean.stdout.endswith(" a second\n")
    assert result.exit_code == 1
    assert f"The first row that is not valid is {ids[1]}." in result.stderr
    assert "2 rows were written or changed by something else." in result.stderr
    assert f"row {ids[3]} (" in result.stderr
    assert "client.created, request abc12345" in result.stderr


def test_verify_command_takes_a_range(trail_of, plant, command):
    ids = trail_of(5)
    edit(plant, ids[2], "actor")
    before = (datetime.now(UTC) - timedelta(days=2)).date()
    ranges = {
        ("--to-id", str(ids[1])): 2,
        ("--from-id", str(ids[3])): 2,
        ("--from-id", str(ids[0]), "--to-id", str(ids[0])): 1,
        ("--since", "2999-01-01"): 0,
        ("--until", f"{before}"): 0,
        ("--until", "2000-01-01T00:00Z"): 0,
    }

    for words, count in ranges.items():
        result = command(*words)
        assert result.exit_code == 0, words
        assert result.stdout.startswith(f"{count} row{'' if count == 1 else 's'} verified"), words
    assert command("--since", f"{before}").exit_code == 1
    assert "1 row was written or changed" in command("--from-id", str(ids[2])).stderr


@each("words", [("--since", "yesterday"), ("--until", "20261122"), ("--from-id", "0")])
def test_verify_command_rejects_a_range_that_is_none(command, words):
    result = command(*words)

    assert result.exit_code == 2
    assert f"Invalid value for '{words[0]}'" in result.stderr


def test_rows_of_a_previous_key_are_verified_with_it(
    app, trail_of, plant, command, monkeypatch, tmp_path
):
    ids = trail_of(3)
    earlier, later = app.config["SECRET_KEY"], derive_audit_keys({}, "x" * 40)
    monkeypatch.setitem(app.extensions, "pipelabs.audit_keys", [*later])
    previous = tmp_path / "previous"
    previous.write_text(f"SECRET_KEY={earlier}\n")

    without = command()
    wrong = command("--previous-keys", __file__)
    with_keys = command("--previous-keys", str(previous))
    edit(plant, ids[0], "actor")
    edit(plant, ids[1], "mac_key")
    mixed = command()

    assert without.exit_code == 1
    assert "3 can't be verified" in without.stderr
    assert "--previous-keys" in without.stderr
    assert "each line must be VAULT_KEYS=… or SECRET_KEY=…" in wrong.stderr
    assert with_keys.exit_code == 0
    assert f"The first row that is not valid is {ids[0]}." in mixed.stderr
    assert "1 row was written or changed" in mixed.stderr
    assert "1 can't be verified" in mixed.stderr


def test_rows_are_verified_whatever_the_time_zone_of_the_connection(app, trail_of, verify, rows):
    trail_of(1)
    with app.app_context():
        db.session.execute(text("SET TIME ZONE 'Asia/Kathmandu'"))
        [event] = db.session.query(AuditEvent).all()
        assert event.at.utcoffset() == timedelta(hours=5, minutes=45)
        assert event.proof is Proof.VALID
        batches = list(verification.verify(Range()))
        db.session.execute(text("SET TIME ZONE 'UTC'"))

    assert [batch.findings for batch in batches] == [[], []]


def test_the_job_verifies_the_newest_rows_and_a_sample(
    app, run_task, trail_of, plant, caplog, monkeypatch
):
    monkeypatch.setattr(verification, "SAMPLE", 2)
    run_task(tasks.verify_audit_sample)
    ids = trail_of(6)
    run_task(tasks.verify_audit_sample)
    assert [record for record in caplog.records if record.name == "pipelabs.jobs"] == []

    edit(plant, ids[-1], "actor")
    run_task(tasks.verify_audit_sample)
    [newest] = [record for record in caplog.records if record.name == "pipelabs.jobs"]
    edit(plant, ids[0], "actor")
    with app.app_context():
        found = {row_id for _ in range(100) for row_id in verification.find_in_sample()}

    assert newest.getMessage() == "audit rows are not valid: run flask audit verify"
    assert (newest.first, newest.rows) == (ids[-1], 1)
    # A sample of two begins at the first row with a chance of 1 in 6 or better.
    assert found == {ids[0], ids[-1]}
