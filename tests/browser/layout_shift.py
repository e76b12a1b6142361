"""Print how much the layout of each page shifts while it loads, on a slow machine.

Run `python -m dev.servers -- python -m tests.browser.layout_shift`. The processor is six times
slower, and a page comes over a slow network, so that it is shown in several steps. `--role owner`
crawls as one role, and can be repeated. A crawl takes some three minutes for each width.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from pipelabs.models import Role
from tests.browser.demo import serve_demo
from tests.browser.machines import add_machines
from tests.browser.pages import NARROW, WIDE, Pages, browser
from tests.browser.test_pages import MAX_SHIFT, crawl

SLOWDOWN = 6
NETWORK = {
    "offline": False,
    "latency": 60,
    "downloadThroughput": 60_000,
    "uploadThroughput": 60_000,
}
"""Latency in ms, throughput in bytes per second."""
SETTLE = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"


def main(roles: Sequence[Role]) -> float:
    """Crawl as each role, wide and narrow; print the pages that shift, return the greatest."""
    worst = 0.0
    with serve_demo("layout_shift") as (served, passwords), browser() as chromium:
        add_machines(served, passwords[Role.OWNER])
        pages = Pages(chromium, f"http://127.0.0.1:{served.ports[0]}", passwords)
        for role in roles:
            for width in (WIDE, NARROW):
                heading = f"{role}, {width['width']} px"
                worst = max(worst, print_shifts(pages.open(role, width), heading))
                pages.close()
    return worst


def print_shifts(page, heading):
    """Crawl slowly, print the shift of each page, and return the greatest."""
    slow_down(page)
    shifts = [
        (*page.evaluate(f"{SETTLE}.then(() => [layoutShift, [...layoutMoved]])"), url)
        for url in crawl(page)
    ]
    sys.stdout.write(f"{heading}: {len(shifts)} pages\n")
    for shift, moved, url in sorted(shifts, reverse=True):
        if shift:
            sys.stdout.write(f"  {shift:.4f} {url}  {', '.join(moved)}\n")
    return max(shift for shift, *_ in shifts)


def slow_down(page):
    """Slow the page's processor and network down."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", NETWORK)


if __name__ == "__main__":
    parser = ArgumentParser(prog="layout_shift", description="Print the layout shift of each page.")
    parser.add_argument("--role", type=Role, choices=list(Role), action="append")
    greatest = main(parser.parse_args().role or tuple(Role))
    sys.stdout.write(f"greatest: {greatest:.4f}, allowed: {MAX_SHIFT}\n")
    sys.exit(greatest > MAX_SHIFT)
