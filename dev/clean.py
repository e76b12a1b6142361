"""`make clean`: delete what make has created in this checkout. Uses the standard library only."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from dev.places import LOCAL, ROOT, RUNNING, local_folder, locked, split_env_file, substitute_folder

CACHES = (
    ".coverage*",
    ".hypothesis",
    ".import_linter_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "*.egg-info",
    "client_creation.log*",
)
TESTING = "make test, make bench or a similar command is running in this checkout. Stop it first."
KEPT = (
    ".env is kept: it holds the keys to data in your own database. "
    "Delete it yourself once you no longer need them."
)


def main() -> None:
    """Delete the environment, the servers' data, the caches and what make run wrote in `.env`.

    Raise `CannotStart` while one of the servers is in use.
    """
    with locked(local_folder() / "lock", RUNNING):
        for folder in (LOCAL, substitute_folder()):
            for lock in folder.glob("throwaway/*/lock"):
                with locked(lock, TESTING):
                    pass
        _clean_env_file(ROOT / ".env")
        for path in _leftovers():
            print(f"Deleting {path}")
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _leftovers() -> Iterator[Path]:
    for pattern in CACHES:
        yield from ROOT.glob(pattern)
    yield from (path for path in (ROOT / ".venv", LOCAL, substitute_folder()) if path.exists())
    for package in ("bench", "dev", "migrations", "pipelabs", "tests", ""):
        pattern = "**/__pycache__" if package else "__pycache__"
        yield from sorted((ROOT / package).glob(pattern))


def _clean_env_file(path: Path) -> None:
    """Remove what make run wrote, unless it may be the only copy of keys to other data."""
    text = path.read_text() if path.exists() else ""
    own, block = split_env_file(text)
    if not block:
        return
    if "\nDATABASE_URL=" not in f"\n{block}":
        print(KEPT)
    elif own:
        print("Deleting what make run wrote in .env. Your own lines are kept.")
        path.write_text(f"{own}\n")
    else:
        print(f"Deleting {path}, which make run wrote")
        path.unlink()


if __name__ == "__main__":
    main()
