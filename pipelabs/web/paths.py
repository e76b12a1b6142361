"""The two guarded parts of the URL space."""

ADMIN_API_PATH = "/api/admin"
"""Every call below it spends one of the general budget."""
CONSOLE_PATH = "/admin"
"""Every page below it spends one of the console's budget."""


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or something under it."""
    return path == prefix or path.startswith(f"{prefix}/")
