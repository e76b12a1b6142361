import shutil
import subprocess
import sys

import pytest

from dev.places import locked
from tests.paths import ROOT


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a folder with the commands and with requirements that name nothing."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "dev", folder / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    for kind in ("run", "dev"):
        (folder / f"requirements-{kind}.txt").write_text("# nothing\n")
    return folder


def install(checkout, kind):
    return subprocess.run(
        [sys.executable, "-m", "dev.install", kind, f".venv/.{kind}-1"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_tools_are_added_and_an_environment_in_use_is_not_rebuilt(checkout):
    venv = checkout / ".venv"

    first = install(checkout, "run")
    assert first.returncode == 0, first.stderr
    assert "Installing with pip" in first.stdout
    assert (venv / ".run-1").exists()

    with locked(checkout / ".local/lock"):  # as make run holds it
        added = install(checkout, "dev")
        (venv / ".unfinished").touch()
        rebuilt = install(checkout, "dev")

    assert (added.returncode, (venv / ".dev-1").exists()) == (0, True)
    assert rebuilt.returncode == 1
    assert "make run is using it" in rebuilt.stderr
    assert (venv / "bin/python").exists()
