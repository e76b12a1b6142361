import fcntl

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from pipelabs.core import metrics
from tests.samples import read_samples

NAME = "pipelabs_audit_events_total"
NAMES = {
    "counter": ("pipelabs_audit_events", "_total"),
    "histogram": ("pipelabs_wait", "_bucket"),
    "gauge_livesum": ("pipelabs_in_use", ""),
}


def write_file(path, kind, process, value, **labels):
    """Write a file as the library does in a worker."""
    metric, suffix = NAMES[kind]
    values = MmapedDict(str(path / f"{kind}_{process}.db"))
    key = mmap_key(metric, metric + suffix, list(labels), list(labels.values()), "help")
    values.write_value(key, value, 0.0)
    values.close()


def render(path):
    return read_samples(metrics.render([], str(path)).decode())


def test_render_adds_up_the_files_of_all_workers(tmp_path):
    write_file(tmp_path, "counter", 7, 2.0, event="client.created", status="SUCCESS")
    write_file(tmp_path, "counter", 8, 3.0, event="client.created", status="SUCCESS")

    assert render(tmp_path) == {(NAME, "client.created", "SUCCESS"): 5}


def test_forget_process_keeps_its_counts_in_one_file_for_all_that_ended(tmp_path):
    for process in range(101, 151):
        write_file(tmp_path, "counter", process, 2.0, event="client.created", status="SUCCESS")
        write_file(tmp_path, "histogram", process, 1.0, le="+Inf")
        write_file(tmp_path, "gauge_livesum", process, 1.0)
    before = render(tmp_path)

    for process in range(101, 151):
        metrics.forget_process(process, str(tmp_path))

    after = render(tmp_path)
    assert before.pop(("pipelabs_in_use",)) == 50
    assert after == before
    assert after[NAME, "client.created", "SUCCESS"] == 100
    assert after["pipelabs_wait_count",] == 50
    assert sorted(file.name for file in tmp_path.glob("*.db")) == ["counter_0.db", "histogram_0.db"]


def test_forget_process_does_not_wait_for_a_scrape(tmp_path):
    write_file(tmp_path, "counter", 7, 2.0, event="client.created", status="SUCCESS")

    with (tmp_path / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        metrics.forget_process(7, str(tmp_path))

    assert render(tmp_path) == {(NAME, "client.created", "SUCCESS"): 2}


def test_forget_process_that_has_counted_nothing(tmp_path):
    metrics.forget_process(7, str(tmp_path))

    assert render(tmp_path) == {}


def test_count_request_uses_one_label_for_all_unknown_methods():
    for number in range(5):
        metrics.count_request(metrics.Request("/unit", f"METHOD{number}", 405, 0.001))

    samples = read_samples(metrics.render([]).decode())
    counts = {key[1:] for key in samples if key[0].startswith("pipelabs_http_requests")}
    assert {labels for labels in counts if "/unit" in labels} == {("other", "/unit", "405")}


def test_count_request_counts_many_before_they_fill_the_memory():
    request = metrics.Request("/many", "GET", 200, 0.001)

    for _ in range(2 * metrics.MAX_QUEUED):
        metrics.count_request(request)

    assert len(metrics.requests) <= metrics.MAX_QUEUED
    samples = read_samples(metrics.render([]).decode())
    assert samples["pipelabs_http_requests_total", "GET", "/many", "200"] == 2 * metrics.MAX_QUEUED
