import json
import re
from pathlib import Path

import pytest

from dev.vendor import ICONS, MANIFEST, PINNED, SPRITE, VENDOR, sha384

TEMPLATES = list(VENDOR.parents[1].joinpath("templates").rglob("*.html"))
ENTRIES = json.loads(MANIFEST.read_text())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_the_one_that_was_fetched(entry):
    assert sha384(VENDOR / entry["file"]) == entry["sha384"]


def test_no_file_is_there_that_the_manifest_does_not_name():
    found = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}

    assert found == {entry["file"] for entry in ENTRIES} | {MANIFEST.name}


def test_what_is_there_is_what_is_pinned():
    pinned = {
        (package, version, f"{package}/{name}")
        for package, (version, names) in PINNED.items()
        for name in (*names, *([SPRITE] if package in ICONS else []))
    }

    assert {(one["package"], one["version"], one["file"]) for one in ENTRIES} == pinned


def test_every_package_comes_with_its_licence():
    for package in PINNED:
        licences = {entry["licence"] for entry in ENTRIES if entry["package"] == package}
        assert len(licences) == 1
        assert (VENDOR / package / "LICENSE").stat().st_size > 500


def test_the_sprite_has_every_icon_that_a_template_draws():
    sprite = (VENDOR / "lucide-static" / SPRITE).read_text()
    drawn = re.findall(r'icon\("([a-z-]+)"', "".join(map(Path.read_text, TEMPLATES)))

    assert {name for name in drawn if f'id="{name}"' not in sprite} == set()
    assert len(re.findall("<symbol", sprite)) == len(ICONS["lucide-static"].split())
