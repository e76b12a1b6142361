"""The running application's settings and resources, for packages that must not import Flask."""

from typing import Any

from flask import current_app


def setting(name: str) -> Any:
    """Return a setting of `config.py`."""
    return current_app.config[name]


def resource(name: str) -> Any:
    """Return what was stored at start-up under `pipelabs.<name>`."""
    return current_app.extensions[f"pipelabs.{name}"]
