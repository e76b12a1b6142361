"""Presets of an API token, and permissions in words."""

import re

from pipelabs.accounts.api_tokens import NEVER_GRANTED
from pipelabs.accounts.permission_words import PRESETS, WORDS, PresetName, describe, list_presets
from pipelabs.models import APIToken, Permission, Role
from tests.each import each

NEW = "/admin/account/tokens/new"
TICKED = re.compile(r'name="permissions" value="([^"]+)" checked')


def test_presets_can_be_granted_by_the_roles_that_need_them():
    for preset in PRESETS[1:]:
        assert preset.permissions.isdisjoint(NEVER_GRANTED)
        assert preset.permissions <= Role.OPERATOR.permissions
    assert [one.name for one in list_presets(Role.VIEWER.permissions)] == [PresetName.READ_ONLY]
    assert list_presets(Role.VIEWER.permissions)[0].permissions < Role.VIEWER.permissions


def test_words_are_given_for_codes_in_order():
    assert describe(["clients.write", "clients.read"]) == [
        ("clients.read", "See clients"),
        ("clients.write", "Create and change clients"),
    ]
    assert describe(["no.such"]) == []
    assert len(set(WORDS.values())) == len(Permission)


@each(
    ("preset", "ticked"),
    [
        ("crm", {"clients.read", "clients.write"}),
        ("CRM", {"clients.read", "clients.write"}),
        ("trading_desk", set(PRESETS[2].permissions)),
        ("", set()),
    ],
)
def test_preset_ticks_its_permissions(desk, preset, ticked):
    page = desk.get(f"{NEW}?preset={preset}").text

    assert set(TICKED.findall(page)) == ticked
    assert page.count('aria-current="true"') == bool(preset)


def test_read_only_ticks_what_the_role_reads(console):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    ticked = set(TICKED.findall(viewer.get(f"{NEW}?preset=read_only").text))

    assert ticked == {one for one in Role.VIEWER.permissions if one.endswith(".read")}
    assert "preset=crm" not in viewer.get(NEW).text


def test_unknown_preset_is_an_error(desk):
    assert desk.get(f"{NEW}?preset=all").status_code == 400


def test_form_and_token_have_words_beside_codes_and_lead_to_the_api(desk, rows):
    form = desk.get(f"{NEW}?preset=crm").text
    fields = {"name": "CRM", "permissions": ["clients.read", "clients.write"]}
    shown = desk.follow(desk.post(NEW, **fields)).text

    [token] = rows(APIToken)
    assert token.permissions == ["clients.read", "clients.write"]
    for page in (form, shown):
        assert 'Create and change clients <code class="muted">clients.write</code>' in page
        assert 'href="/api/docs"' in page
    assert 'title="See clients; Create and change clients"' in desk.get("/admin/account").text


def test_rejected_form_keeps_what_was_ticked(desk):
    page = desk.send(NEW, name="", permissions=["clients.read"])

    assert page.status_code == 400
    assert TICKED.findall(page.text) == ["clients.read"]
    assert "preset=crm" in page.text
