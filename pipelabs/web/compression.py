"""Compressed responses: Brotli or gzip, whichever the caller accepts."""

import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # it has no types
from flask import Request, Response

from pipelabs.web.assets import file_of
from pipelabs.web.operation import request_state

MIN_BYTES = 1_400
"""A shorter body fits in one packet anyway."""
TYPES = frozenset(
    {
        "application/json",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)
FAST: Mapping[str, Callable[[bytes], bytes]] = {
    "br": partial(brotli.compress, quality=5),
    "gzip": partial(zlib.compress, level=4, wbits=31),
}
"""Encoding → compression of what is made for one request, in the order of preference."""
SMALL: Mapping[str, Callable[[bytes], bytes]] = {
    "br": partial(brotli.compress, quality=9),
    "gzip": partial(zlib.compress, level=9, wbits=31),
}
"""Encoding → compression of files, done once. A higher quality of Brotli takes seconds."""
CHOICES = (*FAST, "identity")


def choose_encoding(incoming: Request, response: Response) -> str | None:
    """Return the encoding to send the response in, or None to send it as it is.

    A body with a secret is never compressed, because its length would tell about the secret. A part
    of a file is a part of the uncompressed file.
    """
    if response.mimetype not in TYPES or (response.content_length or 0) < MIN_BYTES:
        return None
    if "Range" in incoming.headers or "Content-Encoding" in response.headers:
        return None
    operation = request_state().operation
    if operation is not None and operation.has_secret:
        return None
    encoding = incoming.accept_encodings.best_match(CHOICES)
    return None if encoding == "identity" else encoding


def weaken_etag(response: Response) -> None:
    """Make the ETag weak, if there is one. The same version is also sent in other encodings."""
    etag, _ = response.get_etag()
    if etag is not None:
        response.set_etag(etag, weak=True)


def compress(incoming: Request, response: Response, encoding: str) -> None:
    """Replace the body of the response by its compressed form."""
    if response.direct_passthrough:
        # An open file, which nothing will read.
        response.close()
        response.direct_passthrough = False
        body = _compress_file(file_of(incoming), encoding)
    else:
        body = FAST[encoding](response.get_data())
    response.set_data(body)
    response.headers["Content-Encoding"] = encoding
    response.headers.pop("Accept-Ranges", None)


@cache
def _compress_file(path: Path, encoding: str) -> bytes:
    """Return a compressed file. It is cached, since a release never changes its files."""
    return SMALL[encoding](path.read_bytes())
