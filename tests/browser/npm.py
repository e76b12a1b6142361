"""Download a package from npm's registry without installing it or running its scripts."""

import shutil
import subprocess
import tarfile
from pathlib import Path


class Unavailable(SystemExit):
    """Exit with status 1 and a message for the terminal."""


def pack(package: str, folder: Path) -> Path:
    """Return the archive of `name@version` in an empty folder.

    npm checks it against the registry's integrity hash. Raise `Unavailable` if that fails.
    """
    npm = shutil.which("npm")
    if not npm:
        raise Unavailable(f"npm is not on PATH; it is needed to download {package}.")
    command = [npm, "pack", package, "--ignore-scripts", "--pack-destination", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise Unavailable(f"npm could not download {package}:\n{process.stderr.strip()}")
    # The name that npm prints differs between versions.
    [archive] = folder.glob("*.tgz")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive in `folder` and return the folder of the package."""
    with tarfile.open(archive) as files:
        extract(files, folder)
    return folder / "package"


def extract(files: tarfile.TarFile, folder: Path) -> None:
    """Extract into the folder and never outside of it.

    Python has had the necessary filter since 3.11.4. Without it, only npm's integrity check
    protects against a malicious archive.
    """
    if safe := getattr(tarfile, "data_filter", None):
        files.extraction_filter = safe
    files.extractall(folder)  # noqa: S202 - filtered if possible, and verified by npm before
