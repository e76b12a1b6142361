from dev.run import new_client
from tests.factories import make_body


def test_each_start_shows_another_client():
    first, second = new_client(), new_client()

    assert first.keys() <= make_body().keys() | {"tier", "notes"}
    assert first["wallet_address"] != second["wallet_address"]
    assert first["email"] != second["email"]
    assert first["wallet_address"] == first["wallet_address"].lower()
