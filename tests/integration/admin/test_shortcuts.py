"""The list of shortcuts, and whether they are on in a browser."""

import re

from pipelabs.admin.navigation import SECTIONS
from pipelabs.models import Role

ACCOUNT = "/admin/account"
KEYS = re.compile(r'data-keys="([^"]+)"')


def dialog_of(page):
    return page.text.partition('id="shortcuts"')[2].partition("</dialog>")[0]


def test_dialog_has_the_places_that_a_role_may_open(console):
    owner, viewer = console(Role.OWNER), console(Role.VIEWER, email="viewer@desk.local")

    of_owner, of_viewer = (KEYS.findall(dialog_of(one.get(ACCOUNT))) for one in (owner, viewer))

    assert [f"g {section.key}" for section in SECTIONS] == [k for k in of_owner if k[:2] == "g "]
    assert "g c" in of_viewer
    assert "g u" not in of_viewer


def test_keys_are_given_once(desk):
    keys = KEYS.findall(dialog_of(desk.get(ACCOUNT)))

    assert len(keys) == len(set(keys)) >= 15


def test_shortcuts_are_turned_off_and_on_in_the_account(desk):
    desk.get(ACCOUNT)
    answer = desk.post(f"{ACCOUNT}/shortcuts", shortcuts="off")
    off = desk.follow(answer)
    on = desk.follow(desk.post(f"{ACCOUNT}/shortcuts", shortcuts="on"))

    assert answer.location == f"{ACCOUNT}#keyboard"
    assert "pl_shortcuts=off; " in answer.headers["Set-Cookie"]
    assert "Keyboard shortcuts are off in this browser." in off.text
    assert not dialog_of(off)
    assert KEYS.search(off.text)
    assert dialog_of(on)


def test_admin_who_must_change_the_password_has_no_palette(console):
    browser = console(Role.OPERATOR, email="new@desk.local", must_change_password=True)

    page = browser.get(f"{ACCOUNT}/password").text

    assert "Change your password" in page
    assert 'id="palette"' not in page
    assert 'id="shortcuts"' not in page
    assert "data-palette-open" not in page
