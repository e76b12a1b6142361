from pipelabs.demo.probes import IP_BOUND, STUBBED, TRADE_ONLY, make_credentials, report_permissions
from pipelabs.vault.envelope import Secret
from pipelabs.vault.examination import ProbeRequest, probe_key


def ask(slug, scenario):
    """Return the credentials of a demo key, and the result of a probe of them at the stub."""
    credentials = make_credentials(slug, "an account", scenario)
    secrets = {name: Secret(text) for name, text in credentials.items()}
    request = ProbeRequest(exchange=slug, credentials=secrets, is_testnet=False)
    return credentials, probe_key(request)


def test_report_permissions_is_what_the_stub_reports(app, venues):
    with app.app_context():
        for slug in sorted(STUBBED):
            for scenario in (TRADE_ONLY, IP_BOUND):
                credentials, result = ask(slug, scenario)
                report = report_permissions(slug, credentials["api_key"], 0)
                assert (slug, result.failure) == (slug, None)
                assert verdicts(result) == verdicts(report), slug


def verdicts(result):
    return {name: answer["verdict"] for name, answer in result.permissions.items()}


def test_report_permissions_knows_nothing_where_there_is_no_probe():
    report = report_permissions("probit", "an API key", 5)

    assert set(verdicts(report).values()) == {"unknown"}
