"""The version of the package."""

import configparser
from functools import cache
from importlib import metadata
from pathlib import Path

SETUP = Path(__file__).parents[2] / "setup.cfg"


@cache
def version() -> str:
    """Return the version of the checkout, or of the installed package where there is none."""
    setup = configparser.ConfigParser()
    if setup.read(SETUP):
        return setup["metadata"]["version"]
    return metadata.version("pipelabs")
