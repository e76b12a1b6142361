"""URLs that a caller has sent."""

from urllib.parse import SplitResult, urlsplit


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it is malformed, such as `//[`."""
    try:
        return urlsplit(text)
    except ValueError:
        return None
