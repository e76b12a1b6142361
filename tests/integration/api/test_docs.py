import re

import pytest
from sqlalchemy import event

from pipelabs.core.db import db

DOCUMENT = "/api/openapi.json"
PAGE = "/api/docs"


@pytest.fixture
def page(client):
    return client.get(PAGE)


def test_the_document_is_the_same_at_every_request(client):
    first, second = client.get(DOCUMENT), client.get(DOCUMENT)

    assert (first.status_code, first.mimetype) == (200, "application/json")
    assert first.json["openapi"] == "3.1.0"
    assert first.data == second.data


def test_the_page_names_the_document(page):
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert f'data-url="{DOCUMENT}"' in page.text


def test_every_file_of_the_page_is_ours_and_is_there(client, page):
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    files = [address for address in found if address.startswith("/static/")]

    assert set(found) - set(files) == {"data:,", DOCUMENT}
    assert len(files) == 4
    for address in files:
        assert client.get(address, buffered=True).headers["Cache-Control"].endswith("immutable")


def test_the_page_has_nothing_inline(page):
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page.text)


@pytest.mark.parametrize("path", [DOCUMENT, PAGE])
def test_anybody_may_read_whatever_token_is_sent(client, path):
    response = client.get(path, headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [DOCUMENT, PAGE, "/static/js/api_docs.js"])
def test_reading_costs_neither_a_budget_nor_a_transaction(app, client, operator, path):
    statements = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    response = client.get(path, headers=operator, buffered=True)

    assert response.status_code == 200
    assert statements == []
    assert "RateLimit" not in response.headers


@pytest.mark.parametrize("path", [DOCUMENT, PAGE])
def test_it_is_only_read(client, path):
    assert client.post(path).status_code == 405
