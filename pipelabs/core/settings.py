"""Settings and resources of the running application, for packages that must not import Flask."""

from collections.abc import Callable
from typing import Any, cast

from flask import globals as proxies
from flask.ctx import AppContext

current_context = cast(Callable[[], AppContext], cast(Any, proxies.app_ctx)._get_current_object)  # noqa: SLF001 - documented by werkzeug
"""Returns the current application context. Flask's proxies take five calls to look up each name."""


def setting(name: str) -> Any:
    """Return a setting of `config.py`."""
    return current_context().app.config[name]


def resource(name: str) -> Any:
    """Return the object stored under `pipelabs.<name>` at start-up."""
    return current_context().app.extensions[f"pipelabs.{name}"]


def secret_keys() -> tuple[str, ...]:
    """Return the secret key, which signs, and those that are accepted while it replaces them."""
    return (setting("SECRET_KEY"), *setting("SECRET_KEY_FALLBACKS"))
