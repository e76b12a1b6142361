"""ETags from row versions, and the version that `If-Match` names."""

import hashlib
import re
from typing import Any

from flask import request

from pipelabs.core.errors import InvalidInput

VERSION = re.compile(r'"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?"', re.ASCII)
"""An ETag of ours: a version, and a mark of what is derived beside the row."""


def etag_of(version: int, derived: Any) -> str:
    """Return the ETag of a row that is answered with something derived from others.

    Where there is nothing derived it is the version alone, which is all that `If-Match` looks at.
    """
    if not derived:
        return str(version)
    mark = hashlib.sha256(repr(derived).encode()).hexdigest()
    return f"{version}-{mark[:8]}"


def expected_version() -> int | None:
    """Return the version that `If-Match` names, or None where any will do."""
    text = request.headers.get("If-Match", "*").strip()
    if text == "*":
        return None
    if not (found := VERSION.fullmatch(text)):
        sentence = 'Must be one ETag of ours, such as "1".'
        raise InvalidInput(f"If-Match: {sentence}", fields={"If-Match": [sentence]})
    return int(found[1])
