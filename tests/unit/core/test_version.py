"""The version of a checkout and of an installed package."""

import configparser

import pytest

from pipelabs.core import version
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def uncached():
    version.version.cache_clear()
    yield
    version.version.cache_clear()


def test_version_of_a_checkout_is_that_of_its_setup():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    assert version.version() == setup["metadata"]["version"]


def test_version_without_a_checkout_is_that_of_the_installed_package(tmp_path, monkeypatch):
    installed = tmp_path / "pipelabs-9.8.7.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: pipelabs\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(version, "SETUP", tmp_path / "setup.cfg")

    assert version.version() == "9.8.7"
