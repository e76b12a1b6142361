import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
