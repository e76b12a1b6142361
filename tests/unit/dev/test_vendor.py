import json
import re
from pathlib import Path

import pytest

from dev.vendor import ICONS, MANIFEST, PINNED, SPRITE, VENDOR, sha384

TEMPLATES = list(VENDOR.parents[1].joinpath("templates").rglob("*.html"))
ENTRIES = {folder: json.loads((folder / MANIFEST).read_text()) for folder in PINNED}


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [(folder, one["file"], one["sha384"]) for folder, found in ENTRIES.items() for one in found],
)
def test_a_vendored_file_is_the_one_that_was_fetched(folder, name, expected):
    assert sha384(folder / name) == expected


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_no_file_is_there_that_the_manifest_does_not_name(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert found == {entry["file"] for entry in ENTRIES[folder]} | {MANIFEST}


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_what_is_there_is_what_is_pinned(folder):
    pinned = {
        (package, version, f"{package}/{name}")
        for package, (version, names) in PINNED[folder].items()
        for name in (*names, *([SPRITE] if package in ICONS else []))
    }

    found = {(one["package"], one["version"], one["file"]) for one in ENTRIES[folder]}
    assert found == pinned


@pytest.mark.parametrize("folder", PINNED, ids=str)
def test_every_package_comes_with_its_licence(folder):
    for package in PINNED[folder]:
        licences = {one["licence"] for one in ENTRIES[folder] if one["package"] == package}
        assert len(licences) == 1
        assert (folder / package / "LICENSE").stat().st_size > 500


def test_the_sprite_has_every_icon_that_a_template_draws():
    sprite = (VENDOR / "lucide-static" / SPRITE).read_text()
    drawn = re.findall(r'icon\("([a-z-]+)"', "".join(map(Path.read_text, TEMPLATES)))

    assert {name for name in drawn if f'id="{name}"' not in sprite} == set()
    assert len(re.findall("<symbol", sprite)) == len(ICONS["lucide-static"].split())
