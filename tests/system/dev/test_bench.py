import os
import shutil
import subprocess

import pytest

from tests.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed"),
]


def test_quick_bench_measures_every_part():
    # Fails if a statement that fills tables, or an address, no longer fits the application.
    environment = os.environ | {"QUICK": "1"}

    ended = subprocess.run(
        ["make", "bench"], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    for part in (
        "create, 100 a second",
        "create, 429",
        "list of 50",
        "audit, one status",
        "coverage",
        "rotation of the ring",
        "500 clients",
        "a scrape of the metrics",
    ):
        assert part in ended.stdout
