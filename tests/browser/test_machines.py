"""A machine is invited, enrols and is approved; a stop takes its key away."""

from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.approvals import review
from tests.browser.machines import FleetClient
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS, axe_violations
from tests.machine_host import MachineHost


@WITH_AND_WITHOUT_SCRIPTS
def test_machine_is_invited_approved_and_stopped(service, pages, scripts):
    running, _ = service
    name = "browser-1" if scripts else "browser-2"
    host = MachineHost(FleetClient(running))
    page = pages.open(Role.OWNER, java_script_enabled=scripts)

    page.goto("/admin/machines/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Invite machine").click()
    command = page.locator(".command code").inner_text()
    if scripts:
        assert axe_violations(page) == []
    host.enrol(command.split()[-1])
    approve(pages, running, host, name, scripts)
    page.goto("/admin/machines?status=active")
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="Request grant").first.click()
    page.get_by_label("Label").fill(name)
    page.get_by_role("button", name="Request grant").click()
    expect(page.get_by_role("status")).to_contain_text("Grant requested.")
    page.get_by_role("link", name="Stop", exact=True).click()
    page.get_by_label("Reason").fill("A test.")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("main")).to_contain_text("so this ends no lease")
    page.get_by_role("button", name="Raise stop").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"Stop of machine {name}")


def approve(pages, running, host, name, scripts):
    """Approve a machine as the second owner, who compares the fingerprint."""
    page = review(pages, running, f"Machine {name}", java_script_enabled=scripts)
    assert page.locator(".fingerprint").inner_text().replace("\n", "") == host.fingerprint
    page.get_by_label("The host shows the same fingerprint").check()
    page.get_by_role("button", name="Approve request").click()
    expect(page.get_by_role("status")).to_contain_text("Request approved.")
