"""Keyboard shortcuts: one list for the dialog, for the script and for the document."""

from collections.abc import Iterator
from typing import NamedTuple

from flask import request, url_for

from pipelabs.admin.navigation import SECTIONS
from pipelabs.web.pages import can

COOKIE, OFF = "pl_shortcuts", "off"
"""Stored by the browser, as the theme is: a screen reader belongs to one computer."""


class Shortcut(NamedTuple):
    """What one of the keys does. `g c` means g, then c."""

    keys: tuple[str, ...]
    label: str
    act: str = ""
    """The function of `shortcuts.js`. Without one, the key works without that script."""
    href: str = ""


class ShortcutGroup(NamedTuple):
    """Shortcuts under a heading."""

    heading: str
    shortcuts: tuple[Shortcut, ...]


ANYWHERE = (
    Shortcut(("Ctrl K",), "Find anything: clients, pairs, keys, pages, actions"),
    Shortcut(("/",), "Search the list, or find anything", "search"),
    Shortcut(("?",), "Show these shortcuts", "help"),
)
IN_LISTS = (
    Shortcut(("j",), "Next row", "next"),
    Shortcut(("k",), "Previous row", "previous"),
    Shortcut(("x",), "Select the row", "select"),
    Shortcut(("o",), "Open the row (Enter too)", "open"),
)
ON_PAGES = (Shortcut(("e",), "Edit what is shown", "edit"),)


def list_shortcuts() -> list[ShortcutGroup]:
    """Return the shortcuts of this admin, by group."""
    return [
        ShortcutGroup("Anywhere", ANYWHERE),
        ShortcutGroup("In a list", IN_LISTS),
        ShortcutGroup("On a page", ON_PAGES),
        ShortcutGroup("Go to", tuple(_list_places())),
    ]


def has_shortcuts() -> bool:
    """Return whether shortcuts of single keys are on in this browser."""
    return request.cookies.get(COOKIE) != OFF


def _list_places() -> Iterator[Shortcut]:
    for section in SECTIONS:
        if can(section.permission):
            href = url_for(f"admin.{section.noun}.index")
            yield Shortcut((f"g {section.key}",), section.label, href=href)
