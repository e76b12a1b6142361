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


def test_status_page_of_a_new_installation(owner):
    page = owner.get("/admin/status")

    assert page.status_code == 200
    assert "No clients yet" in page.text
    assert "No rejections" in page.text
    assert "All attempts|0" in cells(page)
    assert "Success rate|\u2013" in cells(page)


def test_status_page_has_the_figures_of_recorded_events(client, operator, owner):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    client.post(QUICK_CLIENT, json={}, headers=operator)

    page = owner.get("/admin/status")

    found = cells(page)
    assert {"Created|1", "Duplicate|1", "Invalid|1", "All attempts|3"} <= set(found)
    assert "Success rate|33.3 %" in found
    assert "The input was invalid|name, wallet address|1" in found
    assert any(row.startswith("operator@desk.local|3|1|20") for row in found)
    assert "1 in 30 days" in page.text
    assert page.text.count("<title>") == 31 + 2 * 24
    assert "All rejections" in page.text


@pytest.mark.parametrize("role", Role)
def test_status_page_is_for_owners(console, role):
    response = console(role, email="somebody@desk.local").get("/admin/status")

    assert response.status_code == (200 if role is Role.OWNER else 403)


def test_status_page_names_the_health_of_each_component(owner, monkeypatch):
    page = owner.get("/admin/status")

    assert "PostgreSQL</dt>" in page.text
    assert re.search(r"\d+ of 18 in use", page.text)
    monkeypatch.setattr(shutdown, "is_shutting_down", lambda: True)
    assert "stopping" in owner.get("/admin/status").text


def test_status_page_has_no_inline_script_or_style(owner, client, operator):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    text = owner.get("/admin/status").text

    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?! [^>]*src=)|javascript:", text)
