import subprocess
import sys
import time
from uuid import UUID

from pipelabs.models import new_id
from tests.paths import ROOT

FORKS = """
import os
from pipelabs.models import new_id
print(new_id())
for _ in range(3):
    if not os.fork():
        for _ in range(100):
            print(new_id())
        break
    os.wait()
"""


def test_new_ids_are_increasing_uuids_of_version_7_that_begin_with_the_time():
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(10_000)]
    after = time.time_ns() // 1_000_000

    assert ids == sorted(set(ids))
    assert {(type(made), made.version) for made in ids} == {(UUID, 7)}
    assert before <= ids[0].int >> 80 <= ids[-1].int >> 80 <= after + 1


def test_forked_processes_make_different_ids():
    """Each worker is a fork, and an id that two of them made would fail an insert."""
    ran = subprocess.run(
        [sys.executable, "-u", "-c", FORKS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made = ran.stdout.split()

    assert len(made) == len(set(made)) == 301
