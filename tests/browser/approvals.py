"""What another owner does with a request."""

from tests.browser.machines import SECOND
from tests.factories import PASSWORD


def review(pages, running, request, **options):
    """Open the form in which the second owner approves a request."""
    running.sign_in(SECOND)
    page = pages.open(**options)
    page.goto("/admin/login")
    page.get_by_label("Email").fill(SECOND)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Approvals").click()
    page.get_by_role("link", name=f"Review {request}").click()
    page.get_by_role("link", name="Approve").click()
    return page
