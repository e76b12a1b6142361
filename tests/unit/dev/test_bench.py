import json
import os
import time

import jwt
import pytest

from bench import (
    bare,
    batch,
    growth,
    machines,
    markets,
    metrics,
    report,
    stage,
    statements,
    usage,
    vault,
)
from bench.callers import Callers
from bench.load import BODY, Call, WrongAnswer, percentile, read_wrk, reject_wrong
from bench.peers import servers as peers
from bench.peers.wallets import checksum_address
from bench.rounds import (
    BARE,
    BARE_STEADY,
    CREATE,
    DRF,
    FASTAPI,
    KEYED,
    LIST,
    PGBENCH,
    SINGLE,
    START,
    STEADY,
)
from dev.errors import CannotStart

DONE = "Running 8s test\ndone requests=40 us=8000000 p50=2500 p99=9000 errors=0\n"
ID, WALLET = "31113ba9-d54f-4b34-8877-19e7dc1b7084", f"0x{'aB' * 20}"


def make_rows(create=100.0, bare_view=1000.0):
    load = {"requests_s": create, "p50_ms": 1.0, "p99_ms": 12.0, "application_us": 1100.0}
    return {
        BARE: load | {"requests_s": bare_view, "application_us": 275.0},
        CREATE: load,
        FASTAPI: load | {"postgresql_us": 1100.0},
        DRF: load | {"requests_s": create / 2},
        BARE_STEADY: load | {"p99_ms": 6.0, "application_us": 500.0},
        STEADY: load,
        KEYED: load,
        PGBENCH: {"requests_s": 4 * create, "p50_ms": 1.0, "p99_ms": 2.0},
        LIST: load | {"application_us": 550.0},
        SINGLE: load | {"own_p50_ms": 1.9, "own_p99_ms": 8.1},
        START: {"health_s": 0.7, "create_s": 0.8, "worker_mib": 70.0, "cores_elsewhere": 0.1},
    }


def make_round(create=100.0, bare_view=1000.0):
    return (make_rows(create, bare_view), make_rows(create, bare_view))


def without(rows, *names):
    return {row: figures for row, figures in rows.items() if row not in names}


PAGES, JOBS = {"overview": 20.0}, dict.fromkeys(report.JOBS, 100.0)
GROWTH = {
    "overview": (10.0, 14.9),
    "clients": (50.0, 61.0),
    "audit": (10.0, 15.1),
    "coverage, a common word": (20.0, 900.0),
}
ONCE = report.Once(PAGES, JOBS, GROWTH)


def make_process(proc, pid, parent, times, name="gunicorn"):
    folder = proc / str(pid)
    folder.mkdir()
    before = "0 " * 9
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {before}{times} 20 0\n")


def test_wrk_output_becomes_figures():
    loaded = read_wrk(f"own 1.9\nown 2\n{DONE}")

    assert (loaded.requests, loaded.seconds) == (40, 8.0)
    assert (loaded.p50_ms, loaded.p99_ms) == (2.5, 9.0)
    assert loaded.own_ms == [1.9, 2.0]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            f'wrong 429 {{"success": false}}\n{DONE}',
            "201: 39, 429: 1 instead of 201; .*failed: 0\\.\n.*false",
        ),
        (DONE.replace("errors=0", "errors=3"), "201: 40 instead of 201; .*failed: 3"),
        (DONE.replace("requests=40", "requests=0"), "by status: none"),
        ("unable to connect\n", "unable to connect"),
    ],
)
def test_wrong_or_missing_answer_ends_the_bench(output, sentence):
    with pytest.raises(WrongAnswer, match=sentence):
        read_wrk(output)


def test_every_answer_must_have_the_status_of_the_call():
    reject_wrong({"201": 7}, 0, "")
    reject_wrong({"409": 7}, 0, "", expected=409)

    with pytest.raises(WrongAnswer, match="200: 7 instead of 201"):
        reject_wrong({"200": 7}, 0, "")
    with pytest.raises(WrongAnswer, match="201: 7 instead of 409"):
        reject_wrong({"201": 7}, 0, "", expected=409)


def test_wrk_gets_the_call_as_variables():
    create, listed = Call(is_keyed=True).variables(), Call(method="GET", body=None, status=200)

    assert create | {"SEED": ""} == {
        "METHOD": "POST",
        "STATUS": "201",
        "KEYED": "1",
        "TIMED": "0",
        "SEED": "",
        "BODY": BODY,
    }
    assert create["SEED"] != Call().variables()["SEED"]
    assert "BODY" not in listed.variables()


def test_callers_sign_tokens_like_the_one_that_was_issued():
    claims = {"sub": "owner", "sid": "s0", "iat": 1000, "nbf": 1000, "exp": 1900, "jti": "a"}
    secret = "k" * 31 + "x"
    sessions = [{"sub": "a1", "sid": "s1"}, {"sub": "a2", "sid": "s2"}]
    callers = Callers(jwt.encode(claims | {"tv": 7}, secret), secret, sessions)

    tokens = [callers.owner(), *callers.tokens()]

    read = [jwt.decode(token, secret, algorithms=["HS256"]) for token in tokens]
    assert [(one["sub"], one["sid"], one["tv"]) for one in read] == [
        ("owner", "s0", 7),
        ("a1", "s1", 7),
        ("a2", "s2", 7),
    ]
    assert all(one["exp"] - one["iat"] == 900 and one["exp"] > time.time() for one in read)
    assert len({one["jti"] for one in read} | {"a"}) == 4


def test_a_forged_token_has_a_wrong_signature():
    claims = {"sub": "owner", "iat": 1000, "exp": 1900}
    secret = "k" * 31 + "x"
    callers = Callers(jwt.encode(claims, secret), secret, [])

    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(callers.forged(), secret, algorithms=["HS256"])


def test_peers_are_measured_only_once_they_are_installed(tmp_path):
    (tmp_path / "bin").mkdir()
    assert peers.installed(tmp_path) == ()

    (tmp_path / ".installed-1").touch()
    assert [peer.row for peer in peers.installed(tmp_path)] == [FASTAPI, DRF]


def test_peers_have_the_versions_that_are_installed(tmp_path):
    for name, version in (("Django", "5.2.19"), ("idna", "3.18"), ("fastapi", "0.165.0")):
        folder = tmp_path / "lib" / "python3.11" / "site-packages" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")

    assert peers.versions(tmp_path) == {"django": "5.2.19", "fastapi": "0.165.0"}


def test_peers_accept_the_wallets_that_the_application_accepts():
    assert checksum_address(f"0x{'ab' * 20}") == "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
    assert checksum_address(WALLET.lower()) == checksum_address(checksum_address(WALLET.lower()))

    for wrong in ("0x0", "ab" * 20, WALLET):
        with pytest.raises(ValueError, match="address"):
            checksum_address(wrong)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share, expected):
    assert percentile(range(100, 0, -1), share) == expected


def test_server_time_includes_its_descendants(tmp_path):
    make_process(tmp_path, 10, parent=1, times="1 2 3 4")
    make_process(tmp_path, 11, parent=10, times="100 0 0 0", name="a (b) c")
    make_process(tmp_path, 12, parent=11, times="0 1000 0 0")
    make_process(tmp_path, 13, parent=1, times="9 9 9 9")
    (tmp_path / "14").mkdir()  # a process that ended in the meantime

    seconds = usage.cpu_seconds(10, tmp_path)

    assert usage.family(10, tmp_path) == [10, 11, 12]
    assert seconds == 1110 / os.sysconf("SC_CLK_TCK")


def test_machine_time_excludes_idle_time(tmp_path):
    (tmp_path / "stat").write_text("cpu  100 20 30 9000 800 4 5 0 7 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n")

    assert usage.machine_seconds(tmp_path) == 159 / os.sysconf("SC_CLK_TCK")


def test_memory_is_proportional(tmp_path):
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "smaps_rollup").write_text("00-ff r--p [rollup]\nRss: 9 kB\nPss: 2048 kB\n")

    assert usage.proportional_mib(10, tmp_path) == 2.0


def test_values_that_two_creates_do_not_share_become_random():
    other = f"0x{'c' * 40}"
    insert = "BEGIN; EXECUTE insert('{}'::uuid,\n '{}', '12:30')"
    commit = "EXECUTE record({}, '{}', 201, 4.2); COMMIT"
    first = ["EXECUTE find", insert.format(ID, WALLET), commit.format(17, WALLET)]
    second = ["EXECUTE find", insert.format(ID, other), commit.format(18, other)]

    lines = statements.script(["PREPARE find AS\n SELECT 1"], first, second).splitlines()

    once, draws, sent = lines[:5], lines[5:10], lines[10:]
    assert once == [
        "\\if :is_prepared",
        "\\else",
        "PREPARE find AS  SELECT 1;",
        "\\set is_prepared 1",
        "\\endif",
    ]
    assert draws[0] == "\\set v1a random(10000000, 99999999)"
    wallet = "0x:v1a:v1d:v1e:v1f:v1g"
    assert sent == [
        "EXECUTE find;",
        rf"BEGIN\; EXECUTE insert('{ID}'::uuid,  '{wallet}', '12:30') \gset",
        rf"EXECUTE record(:audit_id, '{wallet}', 201, 4.2)\; COMMIT;",
    ]


def test_creates_that_differ_in_more_than_values_are_rejected():
    with pytest.raises(WrongAnswer, match="different numbers"):
        statements.script([], ["BEGIN"], ["BEGIN", "SELECT 1"])
    with pytest.raises(WrongAnswer, match="more than one number"):
        statements.script([], ["EXECUTE record(1, 2)"], ["EXECUTE record(3, 4)"])


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    fast, slow = make_round(create=300.0, bare_view=1000.0), make_round(100.0, 500.0)

    results = report.results([fast, slow, make_round(200.0, 800.0)], ONCE, {"redis": "7"}, 8)

    assert results["ratios"]["requests/s, of the bare view's"] == {
        "is": 0.25,
        "goal": 0.13,
        "stretch": 0.2,
        "verdict": "stretch met",
    }
    assert results["medians"][CREATE]["requests_s"] == 200.0
    assert results["rounds"] == 3


def test_a_ratio_is_of_both_halves_and_its_noise_is_their_difference():
    halves = make_rows(create=90.0), make_rows(create=110.0)

    ratios = report.results([halves], ONCE, {}, 8)["ratios"]

    assert ratios["requests/s, of the bare view's"]["is"] == 0.1
    assert ratios["requests/s, of the bare view's"]["noise"] == 0.2
    assert "noise" not in ratios["memory a worker, proportional, MiB"]


def test_each_goal_is_met_or_missed():
    ratios = report.results([make_round()], ONCE, {}, 8)["ratios"]

    verdicts = [facts["verdict"] for facts in ratios.values() if "goal" in facts]
    assert verdicts == [
        "missed",  # 0.1 of the bare view's
        "met",  # as fast as FastAPI
        "met",  # twice as fast as Django REST framework
        "stretch met",  # 4 times the processor time of the bare view
        "met",  # 2 times the bare view's p99
        "met",
        "missed",
        "met",
        "met",
    ]


def test_processor_time_of_all_servers_is_compared_with_the_peers():
    ratios = report.results([make_round()], ONCE, {}, 8)["ratios"]

    assert ratios["processor time of all servers, of FastAPI's"] == {"is": 0.5}
    assert ratios["processor time of all servers, of Django REST framework's"] == {"is": 1.0}


def test_processor_time_is_compared_with_the_bare_views_under_the_same_load():
    medians = report.results([make_round()], ONCE, {}, 8)["medians"]

    assert medians[LIST]["of_bare"] == 2.0
    assert medians[STEADY]["of_bare"] == 2.2
    assert "of_bare" not in medians[SINGLE]
    assert "of_bare" not in medians[PGBENCH]


def test_jobs_have_verdicts():
    jobs = report.results([make_round()], ONCE, {}, 8)["jobs"]

    verdicts = {name: facts["verdict"] for name, facts in jobs.items() if "goal" in facts}
    assert verdicts == {
        vault.ENCRYPT: "missed",
        vault.DECRYPT: "missed",
        vault.ROTATION: "missed",
        markets.OWN_PAGE: "met",
        markets.COVERAGE_PAGE: "met",
        markets.ADDED: "met",
        batch.BATCH: "met",
        metrics.SCRAPE: "missed",
        batch.SHARE: "met",
        machines.POLL: "met",
        machines.LEASE_ONE: "missed",
        machines.LEASE_MANY: "missed",
        machines.RESTART: "missed",
        machines.STOP: "missed",
        machines.AGENT_START: "met",
        machines.AGENT_MIB: "missed",
    }


def test_table_has_every_load_and_every_ratio():
    results = report.results([make_round()], ONCE, {}, 8)

    lines = report.table(results).splitlines()

    assert [row for row in results["medians"] if any(line.startswith(row) for line in lines)] == [
        row for row in results["medians"] if row != START
    ]
    assert all(any(line.startswith(name) for line in lines) for name in JOBS)
    bare_ratio = next(line for line in lines if line.startswith("p99 at a steady 100 a second, of"))
    assert bare_ratio.split()[-6:] == ["2", "≤", "2.5", "≤", "1.5", "met"]


def test_table_shows_noise_in_percent():
    results = report.results([(make_rows(create=90.0), make_rows(create=110.0))], ONCE, {}, 8)

    lines = report.table(results).splitlines()
    line = next(one for one in lines if one.startswith("requests/s, of the bare view's"))

    assert line.split()[-6:] == ["20%", "≥", "0.13", "≥", "0.2", "missed"]


def test_growth_is_met_missed_or_explained():
    results = report.results([make_round()], ONCE, {}, 8)

    verdicts = [facts["verdict"] for facts in results["growth_cpu_ms"].values()]
    assert verdicts[:3] == ["met", "missed", "missed"]
    assert verdicts[3].startswith("missed: names are read")
    assert "pages as the book grows" in report.table(results)


def test_each_reason_is_of_a_page():
    assert set(growth.REASONS) < set(growth.PATHS)


def test_without_pgbench_the_report_omits_its_row_and_ratio():
    rows = without(make_rows(), PGBENCH)

    assert "pgbench" not in report.text(report.results([(rows, rows)], ONCE, {}, 8))


def test_without_peers_the_report_omits_their_rows_and_ratios():
    rows = without(make_rows(), FASTAPI, DRF)

    text = report.text(report.results([(rows, rows)], ONCE, {}, 8))

    assert "FastAPI" not in text
    assert "Django" not in text
    assert "of the bare view's" in text


def test_results_contain_no_machine_name_and_no_folder():
    text = report.text(report.results([make_round()], ONCE, {}, 8))

    assert os.uname().nodename not in text
    assert "/home" not in text
    assert json.loads(text)["machine"]["cores"] >= 1


def test_bare_view_has_production_settings_without_hooks():
    settings = bare.settings()

    assert "worker_class = 'pipelabs.web.worker.ReceivingWorker'\n" in settings
    assert "preload_app = True\n" in settings
    assert "bind" not in settings
    assert "function" not in settings


def test_without_wrk_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)

    with pytest.raises(CannotStart, match=r"apt install wrk.*brew install wrk"), stage.set_up():
        pass
