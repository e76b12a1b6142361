import resource
import subprocess
import sys

import pytest

from pipelabs.core import core_files

CHILD = """
import ctypes, resource
from pipelabs.core import core_files
PR_GET_DUMPABLE = 3
core_files.forbid()
is_dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
print(*resource.getrlimit(resource.RLIMIT_CORE), is_dumpable)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl exists on Linux only")
def test_forbid_leaves_no_core_file_to_write():
    printed = subprocess.run(
        [sys.executable, "-c", CHILD], check=True, capture_output=True, text=True
    ).stdout

    assert printed.split() == ["0", "0", "0"]


def test_forbid_sets_the_limit_where_there_is_no_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    core_files.forbid()

    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
