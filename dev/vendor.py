"""`make vendor`: download the browser's files at pinned versions, and list them in a manifest."""

import base64
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.browser import npm

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "pipelabs/static/vendor"
MANIFEST = "manifest.json"
Packages = Mapping[str, tuple[str, tuple[str, ...]]]
"""Package → its version, and which of its files are used or must go along with them."""
SERVED: Packages = {
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
TESTING: Packages = {
    "axe-core": ("4.14.1", ("axe.min.js", "LICENSE", "LICENSE-3RD-PARTY.txt")),
}
PINNED = {VENDOR: SERVED, ROOT / "tests/vendor": TESTING}
"""What each folder holds."""
SPRITE = "sprite.svg"
ICONS = {
    "lucide-static": """
        arrow-down arrow-up building-2 calendar-clock chart-candlestick check chevron-left
        chevron-right circle-check clock-alert coins copy download grid-3x3 info key-round
        key-square layout-dashboard log-out menu monitor moon pencil plus refresh-cw scroll-text
        search shield shield-alert shield-check sun triangle-alert user-cog user-round users
        waypoints
    """,
}
"""Package → which of its icons go into one file of symbols."""
DRAWING = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def main() -> None:
    """Replace the folders' content with the pinned files, and write their manifests."""
    for folder, packages in PINNED.items():
        shutil.rmtree(folder, ignore_errors=True)
        entries = [
            entry
            for package, (version, files) in packages.items()
            for entry in _fetch(folder / package, version, files)
        ]
        (folder / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n")
        print(f"{len(entries)} files in {folder}")


def sha384(path: Path) -> str:
    """Return the file's hash in the form that browsers know."""
    digest = hashlib.sha384(path.read_bytes()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


def _fetch(folder: Path, version: str, files: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Fill the folder, which has the package's name; yield what the manifest says of each file."""
    with tempfile.TemporaryDirectory() as beside:
        archive = npm.pack(f"{folder.name}@{version}", Path(beside))
        source = npm.unpack(archive, Path(beside))
        about = json.loads((source / "package.json").read_text())
        for name in files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
            yield _entry(folder, name, about)
        if names := ICONS.get(folder.name):
            (folder / SPRITE).write_text(_sprite(source / "icons", names.split()))
            yield _entry(folder, SPRITE, about)


def _entry(folder: Path, name: str, about: dict[str, str]) -> dict[str, str]:
    return {
        "package": about["name"],
        "version": about["version"],
        "file": f"{folder.name}/{name}",
        "sha384": sha384(folder / name),
        "licence": about["license"],
    }


def _sprite(folder: Path, names: list[str]) -> str:
    """Return one drawing with a symbol for each icon; what they have in common stands once."""
    symbols = [
        f'<symbol id="{name}" viewBox="0 0 24 24">{" ".join(match[1].split())}</symbol>'
        for name in names
        if (match := DRAWING.search((folder / f"{name}.svg").read_text()))
    ]
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg">', *symbols, "</svg>", ""])


if __name__ == "__main__":
    main()
