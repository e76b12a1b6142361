import re

import pytest

from pipelabs.core import shutdown
from pipelabs.models import Role
from tests.factories import QUICK_CLIENT, make_body


def cells(page):
    """Return the text of each table row, its cells set apart by a bar."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.text, re.S)
    plain = [re.sub(r"<[^>]+>", " ", re.sub(r"</t[dh]>", "|", row)) for row in rows]
    return ["|".join(" ".join(cell.split()) for cell in row.split("|")).strip("|") for row in plain]


def test_overview_page_of_a_new_installation(desk):
    page = desk.get("/admin/")

    assert page.status_code == 200
    assert "No clients yet" in page.text
    assert "No rejections" in page.text
    assert "All attempts|0|0" in cells(page)
    assert "Success rate|\u2013|\u2013" in cells(page)


def test_overview_page_has_the_figures_of_recorded_events(client, operator, desk):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    client.post(QUICK_CLIENT, json={}, headers=operator)

    page = desk.get("/admin/")

    found = cells(page)
    assert {"Created|1|1", "Duplicate|1|1", "Invalid|1|1", "All attempts|3|3"} <= set(found)
    assert "Success rate|33.3 %|33.3 %" in found
    assert "invalid_input|name, wallet_address|1|1" in found
    assert any(row.startswith("operator@desk.local|3|1|20") for row in found)
    assert "1 in 30 days" in page.text
    assert page.text.count("<title>") == 31
    assert "client.create_denied" in page.text


@pytest.mark.parametrize("role", Role)
def test_overview_page_offers_the_actions_of_each_role(console, role):
    page = console(role, email="somebody@desk.local").get("/admin/")

    assert page.status_code == 200
    assert ("New client" in page.text) is (role is not Role.VIEWER)


def test_overview_page_names_the_health_of_each_component(desk, monkeypatch):
    page = desk.get("/admin/")

    assert "PostgreSQL</dt>" in page.text
    assert re.search(r"\d+ of 18 in use", page.text)
    monkeypatch.setattr(shutdown, "is_shutting_down", lambda: True)
    assert "stopping" in desk.get("/admin/").text


def test_overview_page_has_no_inline_script_or_style(desk, client, operator):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    text = desk.get("/admin/").text

    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?! [^>]*src=)|javascript:", text)
