"""Fetch a package from npm's registry without installing or running any of it."""

import shutil
import subprocess
import tarfile
from pathlib import Path


class Unavailable(SystemExit):
    """A sentence for the terminal, and exit status 1."""


def pack(wanted: str, folder: Path) -> Path:
    """Return the archive of `name@version` in an empty folder.

    npm checks it against the registry's integrity. Raise `Unavailable` if it cannot be had.
    """
    npm = shutil.which("npm")
    if not npm:
        raise Unavailable(f"npm is not on PATH; it is needed to fetch {wanted}.")
    command = [npm, "pack", wanted, "--ignore-scripts", "--pack-destination", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Unavailable(f"npm could not fetch {wanted}:\n{ended.stderr.strip()}")
    # What npm prints as its name has differed between versions.
    [archive] = folder.glob("*.tgz")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive in `folder`, and return the package's own folder there."""
    with tarfile.open(archive) as files:
        extract(files, folder)
    return folder / "package"


def extract(files: tarfile.TarFile, folder: Path) -> None:
    """Unpack into the folder and nowhere else.

    Python has the filter that makes sure of it from 3.11.4 on; before, npm's check of what it
    has fetched has to do.
    """
    if safe := getattr(tarfile, "data_filter", None):
        files.extraction_filter = safe
    files.extractall(folder)  # noqa: S202 - filtered where Python can, and checked by npm before
