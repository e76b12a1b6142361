import json
import re
from pathlib import Path

import pytest

from dev.vendor import ICONS, MANIFEST, PINNED, SPRITE, VENDOR, sha384

TEMPLATES = list(VENDOR.parents[1].joinpath("templates").rglob("*.html"))
ENTRIES = {folder: json.loads((folder / MANIFEST).read_text()) for folder in PINNED}


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        (folder, entry["file"], entry["sha384"])
        for folder, entries in ENTRIES.items()
        for entry in entries
    ],
)
def test_vendored_file_has_the_hash_of_the_manifest(folder, name, expected):
    assert sha384(folder / name) == expected


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_vendored_folder_has_only_the_files_of_the_manifest(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert files == {entry["file"] for entry in ENTRIES[folder]} | {MANIFEST}


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_manifest_lists_the_pinned_files(folder):
    pinned = {
        (package, version, f"{package}/{name}")
        for package, (version, names) in PINNED[folder].items()
        for name in (*names, *([SPRITE] if package in ICONS else []))
    }

    listed = {(entry["package"], entry["version"], entry["file"]) for entry in ENTRIES[folder]}
    assert listed == pinned


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_every_package_has_its_licence(folder):
    for package in PINNED[folder]:
        licences = {entry["licence"] for entry in ENTRIES[folder] if entry["package"] == package}
        assert len(licences) == 1
        assert (folder / package / "LICENSE").stat().st_size > 500


def test_sprite_has_every_icon_of_the_templates():
    sprite = (VENDOR / "lucide-static" / SPRITE).read_text()
    drawn = re.findall(r'icon\("([a-z-]+)"', "".join(map(Path.read_text, TEMPLATES)))

    assert {name for name in drawn if f'id="{name}"' not in sprite} == set()
    assert len(re.findall("<symbol", sprite)) == len(ICONS["lucide-static"].split())
