"""What every answer tells a browser not to do."""

from flask import Response, request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
YEAR = "max-age=31536000"


def add_headers(response: Response) -> None:
    """Add the security headers; nothing that this service answers may be kept by a cache."""
    response.headers.update(ALWAYS)
    response.headers["Cache-Control"] = "no-store"
    response.vary.update(("Authorization", "Cookie", "Origin"))
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = YEAR
