"""`python -m dev.install run|dev STAMP`: install requirements into `.venv`, then create STAMP.

It runs before anything is installed, so it and what it imports use the standard library only.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.places import ROOT, local_folder, locked

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / ".unfinished"
PIP = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install")
OPTIONS = ("-q", "--require-hashes", "--only-binary", ":all:")
UV = re.compile(r"^uv==(?:.*\\\n)*.*$", re.MULTILINE)
IN_USE = (
    ".venv has to be rebuilt: the requirements have changed, or an installation was interrupted. "
    "make run is using it. Stop it first with Ctrl-C."
)
FALLBACK = "uv could not install the packages. Installing with pip, which takes about a minute …"


def main(kind: str, stamp: Path) -> None:
    """Install what `run` or `dev` needs, on top of what is installed if that is up to date.

    Nothing is replaced then, so a running service is not disturbed.
    """
    with locked(local_folder() / "install.lock", wait=True):
        if stamp.exists() and not UNFINISHED.exists():
            return  # another make has installed it meanwhile
        requirements = ROOT / f"requirements-{kind}.txt"
        version = stamp.name.rpartition("-")[2]
        if UNFINISHED.exists() or not list(VENV.glob(f".*-{version}")):
            _rebuild()
        print(f"Installing {requirements.name} into .venv …", flush=True)
        UNFINISHED.touch()
        if not _install_with_uv(requirements):
            print(FALLBACK, flush=True)
            subprocess.run([*PIP, *OPTIONS, "-r", str(requirements)], check=True)
        stamp.touch()
        if kind == "dev":  # includes what `run` needs
            stamp.with_name(f".run-{version}").touch()
        UNFINISHED.unlink()


def _rebuild() -> None:
    with locked(local_folder() / "lock", IN_USE):
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)


def _install_with_uv(requirements: Path) -> bool:
    """Install with uv, which takes seconds; return whether that was possible.

    Some machines tell only pip where packages come from.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "uv.txt"
        if match := UV.search((ROOT / "requirements-dev.txt").read_text()):
            pinned.write_text(f"{match[0]}\n")
        uv = Path(folder) / "bin" / "uv"
        get = [*PIP, *OPTIONS, "--no-deps", "--target", folder, "-r", str(pinned)]
        options = [*OPTIONS, "--compile-bytecode", "--python", str(PYTHON)]
        install = [str(uv), "pip", "install", *options, "-r", str(requirements)]
        return _succeeds(get) and uv.exists() and _succeeds(install)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except subprocess.CalledProcessError:
        sys.exit("The installation failed. The reason is above; make tries again.")
    except KeyboardInterrupt:
        sys.exit(130)
