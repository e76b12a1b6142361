import re

from pipelabs.accounts.permission_words import WORDS
from pipelabs.admin.navigation import SECTIONS
from pipelabs.admin.shortcuts import ANYWHERE, IN_LISTS, ON_PAGES
from pipelabs.audit.events import Event
from pipelabs.cli.doctor import NAMES
from pipelabs.models import Permission, Role
from tests.paths import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(path):
    """Return the anchors that a Markdown page has for its headings, as GitHub makes them."""
    headings = HEADING.findall(path.read_text())
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_links_between_documents_lead_to_a_file_and_a_heading():
    links = [
        (page, page.parent / target if target else page, anchor)
        for page in DOCUMENTS
        for target, anchor in LINK.findall(page.read_text())
    ]

    assert links
    for page, target, anchor in links:
        assert target.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(target), f"{page}: {target}#{anchor}"


def test_the_index_lists_every_decision():
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()

    assert [path.name for path in sorted(folder.glob("0*.md"))] == re.findall(
        r"^\| \d+ \| \[.+?\]\((\S+)\)", index, re.MULTILINE
    )


def test_the_reference_has_every_event():
    page = (ROOT / "docs/reference/events.md").read_text()

    assert [event for event in Event if f"`{event}`" not in page] == []


def test_the_reference_has_every_error_code():
    page = (ROOT / "docs/reference/errors.md").read_text()
    code = re.compile(r'\bcode ?= ?"([a-z_]+)"')
    codes = {
        found
        for path in (ROOT / "pipelabs").rglob("*.py")
        for found in code.findall(path.read_text())
    }

    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_the_reference_has_every_command():
    page = (ROOT / "docs/reference/cli.md").read_text()
    command = re.compile(r'@(\w+)\.command\("([a-z-]+)"')
    group = re.compile(r'OperatorGroup\("([a-z-]+)"')
    for path in (ROOT / "pipelabs/cli").glob("*.py"):
        nouns = group.findall(path.read_text())
        for _, name in command.findall(path.read_text()):
            assert f"`flask {' '.join([*nouns, name])}" in page, name


def test_the_reference_has_every_check_of_the_doctor():
    page = (ROOT / "docs/reference/cli.md").read_text().partition("## flask doctor")[2]

    assert [name for name in NAMES if f"`{name}`" not in page] == []


def test_the_reference_has_every_shortcut():
    page = (ROOT / "docs/reference/keyboard.md").read_text()
    own = [(keys, one.label) for one in (*ANYWHERE, *IN_LISTS, *ON_PAGES) for keys in one.keys]
    places = [(f"g {section.key}", section.label) for section in SECTIONS]

    listed = re.findall(
        r"^\| `([^`]+)` \| (.+) \|$", page.partition("## Shortcuts")[2], re.MULTILINE
    )

    assert listed == own + places
    assert len({keys for keys, _ in listed}) == len(listed)


def test_the_reference_has_every_permission_with_its_words_and_roles():
    page = (ROOT / "docs/reference/api.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|(.*)\|$", page, re.MULTILINE)
    listed = {code: (words, tuple(map(str.strip, held.split("|")))) for code, words, held in rows}

    assert set(WORDS) == set(Permission)
    for code, words in WORDS.items():
        held = tuple("yes" if code in role.permissions else "" for role in Role)
        assert listed[code] == (words[0].lower() + words[1:], held), code
