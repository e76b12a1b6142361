import pytest

from pipelabs.clients.service import create_client
from pipelabs.core.db import db
from tests.factories import make_actor, make_new_client


def test_the_palette_leads_to_pages_by_their_names(desk):
    found = desk.get("/admin/palette?q=des").text

    assert 'href="/admin/"' in found
    assert "Desk" in found


def test_the_palette_offers_everything_before_a_word_is_typed(desk):
    assert desk.get("/admin/palette").text.count('role="option"') >= 1


def test_what_is_called_like_nothing_says_so(desk):
    found = desk.get("/admin/palette?q=<script>x").text

    assert "No matches for" in found
    assert "<script>" not in found


@pytest.mark.parametrize("words", ["acme", "0X5290", "mail@exam"])
def test_the_palette_finds_clients_by_name_wallet_and_e_mail(app, desk, words):
    with app.app_context():
        create_client(make_new_client(name="<b>Acme"), make_actor())
        db.session.commit()
    found = desk.get(f"/admin/palette?q={words}").text

    assert "&lt;b&gt;Acme" in found
    assert 'href="/admin/clients/' in found
