"""Figures that take long to count, remembered in each process for `FIGURES_TTL_S`."""

import time
from collections.abc import Callable
from typing import TypeVar

from flask import Flask

from pipelabs.core.settings import resource, setting

T = TypeVar("T")


def init_app(app: Flask) -> None:
    """Let the application remember figures."""
    app.extensions["pipelabs.figures"] = {}


def remember(key: str, count: Callable[[], T]) -> T:
    """Return what `count` returned for this key at most `FIGURES_TTL_S` ago, or call it.

    It must return plain values, because objects of a session can't be used after its end, and the
    keys must be few.
    """
    remembered: dict[str, tuple[T, float]] = resource("figures")
    figures, counted_at = remembered.get(key, (None, 0.0))
    if figures is None or time.monotonic() - counted_at >= setting("FIGURES_TTL_S"):
        figures = count()
        remembered[key] = figures, time.monotonic()
    return figures


def store(key: str, figures: object) -> None:
    """Remember figures for this key that were counted anyway."""
    resource("figures")[key] = figures, time.monotonic()
