"""`make clean`: delete what make has created in this checkout. Uses the standard library only."""

import shutil
from pathlib import Path

from dev.places import LOCAL, ROOT, ROOTS_DATA, RUNNING, local_folder, locked, split_env_file

CREATED = (
    ".venv",
    ".coverage*",
    ".hypothesis",
    ".import_linter_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "*.egg-info",
    "client_creation.log*",
    "__pycache__",
    *(f"{folder}/**/__pycache__" for folder in ("bench", "dev", "migrations", "pipelabs", "tests")),
)
TESTING = "make test, make bench or a similar command is running in this checkout. Stop it first."
KEPT = (
    ".env is kept: it holds the keys to data in your own database. "
    "Delete it yourself once you no longer need them."
)


def main() -> None:
    """Delete the environment, the servers' data, the caches and what make run wrote in `.env`.

    Raise `CannotStart` while the servers are in use.
    """
    with locked(local_folder() / "lock", RUNNING):
        for folder in (LOCAL, ROOTS_DATA):
            for lock in folder.glob("throwaway/run-*/lock"):
                with locked(lock, TESTING):
                    pass
        _clean_env_file(ROOT / ".env")
        created = [path for pattern in CREATED for path in sorted(ROOT.glob(pattern))]
        for path in (*created, ROOTS_DATA, LOCAL):
            if path.exists() and path.name != "__pycache__":
                print(f"Deleting {path}")
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _clean_env_file(path: Path) -> None:
    """Remove what make run wrote, unless it may be the only copy of the keys to other data."""
    own, block = split_env_file(path.read_text() if path.exists() else "")
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
