from pipelabs.models import Role
from tests.factories import QUICK_CLIENT, make_body

OVERVIEW = "/api/admin/overview"


def test_overview_has_the_figures_of_recorded_events(client, operator, viewer):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json
    client.post(QUICK_CLIENT, json={}, headers=operator)

    found = client.get(OVERVIEW, headers=viewer).json["overview"]

    assert found["clients"]["total"] == 1
    assert found["clients"]["by_tier"]["Premium"] == found["clients"]["by_status"]["active"] == 1
    none = {"unverified": 0, "verified": 0, "quarantined": 0}
    assert found["api_keys"] == {"total": 0, "by_status": none, "expiring": 0}
    assert found["created_per_day"][-1]["count"] == 1
    assert len(found["created_per_day"]) == 30
    ms = created["metadata"]["processing_time_ms"]
    assert found["last_24_h"] == {
        "attempts": 2,
        "results": {
            "success": 1,
            "duplicate": 0,
            "invalid": 1,
            "limited": 0,
            "denied": 0,
            "error": 0,
        },
        "success_rate": 0.5,
        "p50_ms": ms,
        "p95_ms": ms,
        "patterns": [{"code": "invalid_input", "fields": "name,wallet_address", "count": 1}],
    }
    assert found["last_7_d"] == found["last_24_h"]
    [one] = found["admins"]
    assert (one["email"], one["events"], one["creates"]) == ("operator@desk.local", 2, 1)
    assert [event["status"] for event in found["events"]] == ["INVALID", "SUCCESS"]
    assert found["parts"]["postgresql"] == "ok"


def test_overview_of_an_empty_database_is_for_every_role(client, sign_in):
    for role in Role:
        response = client.get(OVERVIEW, headers=sign_in(role, email=f"{role}@desk.local"))

        assert response.status_code == 200
        assert response.json["overview"]["last_24_h"]["success_rate"] is None
