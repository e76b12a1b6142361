from pipelabs.jobs import worker


def test_work_runs_the_worker_of_this_application(app, monkeypatch):
    worked: list[object] = []
    monkeypatch.setattr(worker, "work", worked.append)

    result = app.test_cli_runner().invoke(args=["jobs", "work"])

    assert (result.exit_code, worked) == (0, [app])
