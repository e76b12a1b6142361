from pipelabs.admin.navigation import SECTIONS
from tests.each import each

WITHOUT_SECTION = {"account", "auth", "palette", "secrets"}
"""Nouns whose pages are not of the menu."""


def test_pages_of_each_noun_belong_to_one_section(app):
    nouns = [noun for section in SECTIONS for noun in (section.noun, *section.also)]
    blueprints = {name.removeprefix("admin.") for name in app.blueprints if "admin." in name}

    assert sorted(nouns) == sorted(blueprints - WITHOUT_SECTION)


@each(
    ("path", "section"),
    [
        ("/admin/token-pairs", "Markets"),
        ("/admin/clients/paste", "Clients"),
        ("/admin/onboard", "Clients"),
    ],
)
def test_menu_marks_the_section_of_the_page(desk, path, section):
    text = desk.get(path).text

    [marked] = [line for line in text.splitlines() if 'aria-current="page"' in line][:1]
    assert f"</svg>{section}" in marked
