"""`make vendor`: fetch the browser's files at pinned versions, and note what each of them is."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parents[1] / "pipelabs/static/vendor"
MANIFEST = VENDOR / "manifest.json"
PINNED = {
    "swagger-ui-dist": (
        "5.35.0",
        (
            "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css",
            "LICENSE",
            "NOTICE",
        ),
    ),
}
"""Package → its version, and which of its files are served or must go along with them."""


def main() -> None:
    """Replace all that is there by what is pinned, and write the manifest."""
    shutil.rmtree(VENDOR, ignore_errors=True)
    found = [entry for package in PINNED for entry in _fetch(package)]
    MANIFEST.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{len(found)} files in {VENDOR}")


def sha384(path: Path) -> str:
    """Return the file's hash in the form that browsers know."""
    digest = hashlib.sha384(path.read_bytes()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


def _fetch(package: str) -> Iterator[dict[str, str]]:
    version, files = PINNED[package]
    with tempfile.TemporaryDirectory() as folder:
        source = _unpacked(f"{package}@{version}", Path(folder))
        about = json.loads((source / "package.json").read_text())
        for name in files:
            target = VENDOR / package / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
            yield {
                "package": package,
                "version": about["version"],
                "file": f"{package}/{name}",
                "sha384": sha384(target),
                "licence": about["license"],
            }


def _unpacked(wanted: str, folder: Path) -> Path:
    """Return the package's own folder; npm checks what it has fetched against its integrity."""
    npm = shutil.which("npm")
    if not npm:
        raise SystemExit("npm is not on PATH; it is needed to fetch, never to serve.")
    command = [npm, "pack", wanted, "--json", "--pack-destination", str(folder)]
    packed: list[dict[str, Any]] = json.loads(subprocess.check_output(command))
    with tarfile.open(folder / packed[0]["filename"]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


if __name__ == "__main__":
    main()
