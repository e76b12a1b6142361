import shutil
import subprocess
import sys

import pytest

from dev.places import ENV_BEGIN, ENV_END, locked
from tests.paths import ROOT

BLOCK = f"{ENV_BEGIN} and kept\nVAULT_KEYS=1:abc\nDATABASE_URL=x\n{ENV_END}\n"
CREATED = (
    ".venv/bin/python",
    ".local/postgres/data/base",
    ".mypy_cache/a",
    "pipelabs.egg-info/b",
    "client_creation.log",
    "pipelabs/web/__pycache__/c.pyc",
)


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with the commands and with all that make creates."""
    shutil.copytree(ROOT / "dev", tmp_path / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    for name in CREATED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def clean(checkout):
    return subprocess.run(
        [sys.executable, "-B", "-m", "dev.clean"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_clean_deletes_what_make_created_and_says_so(checkout):
    (checkout / ".env").write_text(BLOCK)

    ended = clean(checkout)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Deleting {checkout / '.env'}" in ended.stdout
    assert sorted(path.name for path in checkout.iterdir()) == ["dev", "pipelabs"]
    assert not (checkout / "pipelabs/web/__pycache__").exists()


def test_clean_keeps_a_persons_settings_and_the_keys_to_their_database(checkout):
    env = checkout / ".env"
    env.write_text(f"DEMO=0\n{BLOCK}")
    clean(checkout)
    assert env.read_text() == "DEMO=0\n"

    own_database = BLOCK.replace("DATABASE_URL=x\n", "")
    env.write_text(own_database)
    ended = clean(checkout)

    assert ".env is kept" in ended.stdout
    assert env.read_text() == own_database


@pytest.mark.parametrize(
    ("lock", "sentence"),
    [(".local/lock", "make run is already running"), (".local/throwaway/run-1/lock", "make test")],
)
def test_clean_is_rejected_while_the_servers_are_in_use(checkout, lock, sentence):
    (checkout / lock).parent.mkdir(parents=True, exist_ok=True)

    with locked(checkout / lock):
        ended = clean(checkout)

    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert all((checkout / name).exists() for name in CREATED)
