"""What a person does on a page, counted."""

import re

from playwright.sync_api import Locator, Page

PASTE = """(field, text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  field.dispatchEvent(new ClipboardEvent("paste", {
    clipboardData: data, bubbles: true, cancelable: true,
  }));
}"""


class Clicks:
    """Counts the actions of a journey: clicks, keys, and texts that are typed or pasted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.number = 0

    def click(self, role: str, name: str | re.Pattern[str], within: Locator | None = None) -> None:
        """Click the first that has exactly this name, or a name that matches."""
        self.number += 1
        place = within or self.page
        place.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]

    def choose(self, label: str, option: str) -> None:
        """Choose an option, which takes two clicks."""
        self.number += 2
        self.page.get_by_label(label, exact=True).select_option(label=option)

    def type(self, label: str, text: str) -> None:
        """Type a text into a field."""
        self.number += 1
        self.page.get_by_label(label, exact=True).fill(text)

    def paste(self, label: str, text: str) -> None:
        """Paste a text into a field."""
        self.number += 1
        self.page.get_by_label(label, exact=True).evaluate(PASTE, text)

    def find(self, text: str) -> None:
        """Open the palette, type, and press Enter for the best match: one action after Ctrl-K."""
        self.page.keyboard.press("Control+k")
        self.page.keyboard.type(text)
        self.number += 1
        self.page.keyboard.press("Enter")
