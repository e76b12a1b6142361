"""The files of `deploy/`: alert rules, their tests and the dashboard."""

import json
import re
import shutil
import subprocess

import pytest

from pipelabs.core.metrics import OWN
from tests.paths import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = (PROMETHEUS / "alerts.yml").read_text()
DASHBOARD = (ROOT / "deploy/grafana/pipelabs.json").read_text()
REFERENCE = (ROOT / "docs/reference/metrics.md").read_text()
METRIC = re.compile(r"\bpipelabs_[a-z_]+")
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is missing: apt install prometheus"
)


def alerts():
    return re.findall(r"- alert: (\w+)", ALERTS)


def listed():
    """Return the names of the metrics in the reference, with those that a histogram has."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", REFERENCE, re.MULTILINE)
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return {f"{name}{suffix}" for name, kind in rows for suffix in suffixes.get(kind, ("",))}


def promtool(*words):
    ended = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_promtool
def test_prometheus_accepts_its_configuration_and_rules(tmp_path):
    folder = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    (folder / "pipelabs-token").write_text("a token")

    promtool("check", "config", str(folder / "prometheus.yml"))
    promtool("check", "rules", str(folder / "alerts.yml"))


@needs_promtool
def test_alerts_fire_when_they_should():
    promtool("test", "rules", *map(str, (PROMETHEUS / "tests").glob("*.yml")))


def test_every_alert_fires_in_a_test_and_is_explained():
    tests = "".join(path.read_text() for path in (PROMETHEUS / "tests").glob("*.yml"))
    fired = re.findall(r"- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", tests)
    page = (ROOT / "docs/how-to/monitor.md").read_text()

    assert set(alerts()) == set(fired) == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_the_reference_has_every_metric():
    own = {sample.name for family in OWN.collect() for sample in family.samples}
    own |= {f"{family.name}_total" for family in OWN.collect() if family.type == "counter"}
    gauges = METRIC.findall((ROOT / "pipelabs/web/metrics.py").read_text())

    assert {*own, *gauges} - listed() == set()


@pytest.mark.parametrize("text", [ALERTS, DASHBOARD], ids=["alerts", "dashboard"])
def test_alerts_and_dashboard_use_metrics_that_exist(text):
    assert set(METRIC.findall(text)) - listed() == set()


@needs_promtool
def test_dashboard_has_queries_that_prometheus_understands(tmp_path):
    panels = json.loads(DASHBOARD)["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert queries
    promtool("check", "rules", str(file))


def test_dashboard_has_a_title_and_a_query_in_every_panel():
    panels = json.loads(DASHBOARD)["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"], panel["title"]


DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


def test_image_has_what_the_service_needs_and_nothing_else():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    ignore = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()

    assert all((ROOT / name).exists() for name in names)
    assert names == {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert {"wsgi.py", "config.py", "gunicorn.conf.py", "migrations", "pipelabs"} <= names


def test_image_runs_as_a_user_without_rights():
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)

    assert user == ["10001"]
    assert "--uid 10001" in DOCKERFILE


def test_image_and_units_run_what_the_procfile_runs():
    procfile = (ROOT / "Procfile").read_text()
    commands = " ".join(unit.read_text() for unit in UNITS)

    assert "gunicorn wsgi:app" in procfile
    assert 'CMD ["gunicorn", "wsgi:app"]' in DOCKERFILE
    for command in ("gunicorn wsgi:app", "flask --app wsgi jobs work"):
        assert f"bin/{command}" in commands
        assert command in procfile


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is missing: apt install systemd"
)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit, tmp_path):
    """With a program and a user that exist here."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^(User|WorkingDirectory)=.*\n", "", text, flags=re.MULTILINE)
    copy = tmp_path / unit.name
    copy.write_text(text)
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, unit.name in ended.stderr) == (0, False), ended.stderr
