"""Write what `setup.cfg` declares as requirements files, the form that deptry reads."""

import configparser
from pathlib import Path


def main() -> None:
    """Write both files into the environment, which git ignores."""
    setup = configparser.ConfigParser()
    setup.read("setup.cfg")
    extras = setup["options.extras_require"]
    Path(".venv/declared.txt").write_text(setup["options"]["install_requires"])
    Path(".venv/declared-dev.txt").write_text(extras["run"] + extras["dev"])


if __name__ == "__main__":
    main()
