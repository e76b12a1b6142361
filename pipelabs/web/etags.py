"""ETags made of row versions, and the version in `If-Match`."""

import hashlib
import re
from typing import Any

from flask import request

from pipelabs.core.errors import InvalidInput

ETAG = r'(?:W/)?"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?(?:[-;](?:br|gzip|zstd))?"'
"""An ETag: a row version, and a hash of data derived from other rows if there is any.

A proxy that compresses makes it weak (nginx) or adds the encoding (Apache, Caddy).
"""
VERSION = re.compile(ETAG, re.ASCII)
NOT_AN_ETAG = 'Must be one ETag, such as "1".'
FIRST_VERSION = 1
"""The version of a row that has none, because it never changes."""


def etag_of(version: int, derived: Any) -> str:
    """Return the ETag of a row that is shown with data derived from other rows.

    Without derived data it is the version alone. `If-Match` compares only the version.
    """
    if not derived:
        return str(version)
    digest = hashlib.sha256(repr(derived).encode()).hexdigest()
    return f"{version}-{digest[:8]}"


def expected_version() -> int | None:
    """Return the version in `If-Match`, or None if any version matches."""
    text = request.headers.get("If-Match", "*").strip()
    if text == "*":
        return None
    if not (match := VERSION.fullmatch(text)):
        raise InvalidInput(f"If-Match: {NOT_AN_ETAG}", fields={"If-Match": [NOT_AN_ETAG]})
    return int(match[1])
