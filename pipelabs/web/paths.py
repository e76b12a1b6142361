"""URL prefixes that require authentication."""

ADMIN_API_PATH = "/api/admin"
"""Every call below it counts against the general budget."""
CONSOLE_PATH = "/admin"
"""Every request below it counts against the console budget."""


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or below it."""
    return path == prefix or path.startswith(f"{prefix}/")
