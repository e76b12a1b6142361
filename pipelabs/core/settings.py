"""Settings and resources of the running application, for packages that must not import Flask."""

from typing import Any

from flask import current_app


def setting(name: str) -> Any:
    """Return a setting of `config.py`."""
    return current_app.config[name]


def resource(name: str) -> Any:
    """Return the object stored under `pipelabs.<name>` at start-up."""
    return current_app.extensions[f"pipelabs.{name}"]


def secret_keys() -> tuple[str, ...]:
    """Return the secret key, which signs, and those that are accepted while it replaces them."""
    return (setting("SECRET_KEY"), *setting("SECRET_KEY_FALLBACKS"))
