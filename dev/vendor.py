"""`make vendor`: fetch the browser's files at pinned versions, and note what each of them is."""

import base64
import hashlib
import json
import re
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
    "htmx.org": ("2.0.11", ("dist/htmx.min.js", "LICENSE")),
    "lucide-static": ("1.62.0", ("LICENSE",)),
}
"""Package → its version, and which of its files are served or must go along with them."""
SPRITE = "sprite.svg"
ICONS = {
    "lucide-static": """
        arrow-down arrow-up check chevron-left chevron-right circle-check copy download info
        key-round layout-dashboard log-out menu monitor moon pencil plus scroll-text search shield
        sun triangle-alert user-cog user-round users waypoints
    """,
}
"""Package → which of its icons go into one file of symbols."""
DRAWING = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


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
            yield _entry(target, about)
        if names := ICONS.get(package):
            target = VENDOR / package / SPRITE
            target.write_text(_sprite(source / "icons", names.split()))
            yield _entry(target, about)


def _entry(file: Path, about: dict[str, str]) -> dict[str, str]:
    """Return what the manifest says of a file."""
    return {
        "package": about["name"],
        "version": about["version"],
        "file": str(file.relative_to(VENDOR)),
        "sha384": sha384(file),
        "licence": about["license"],
    }


def _sprite(folder: Path, names: list[str]) -> str:
    """Return one drawing with a symbol for each icon; what they have in common stands once."""
    symbols = [
        f'<symbol id="{name}" viewBox="0 0 24 24">{" ".join(found[1].split())}</symbol>'
        for name in names
        if (found := DRAWING.search((folder / f"{name}.svg").read_text()))
    ]
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg">', *symbols, "</svg>", ""])


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
