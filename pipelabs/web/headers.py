"""What every answer tells a browser not to do."""

from flask import Response, request

from pipelabs.web import assets

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
TOLD = {
    "X-Request-ID": (
        "Names the request; the log and the audit trail have it too. Send your own, 8 to 64 of"
        " `A-Za-z0-9._-`, to choose it.",
        "eb766d15",
    ),
    "Location": ("The address of what was created.", "/api/admin/clients/31113ba9-…"),
    "ETag": ("The version of what is shown; send it back as `If-None-Match`.", '"1"'),
    "Idempotent-Replayed": ("`true` if this is the stored answer to an earlier call.", "true"),
    "Retry-After": ("Seconds to wait before the same call can succeed.", "17"),
    "RateLimit": (
        "What is left (`r`) of each budget that the call spent from, and in how many seconds (`t`)"
        " its oldest use is forgotten.",
        '"create";r=19;t=60, "general";r=99;t=60',
    ),
    "RateLimit-Policy": (
        "How much (`q`) each of these budgets holds in a window of `w` seconds.",
        '"create";q=20;w=60, "general";q=100;w=60',
    ),
    "X-RateLimit-Limit": ("How much the tightest budget holds.", "20"),
    "X-RateLimit-Remaining": ("What is left of the tightest budget.", "19"),
    "X-RateLimit-Reset": ("When its oldest use is forgotten, in Unix time.", "1795387620"),
}
"""Our own header fields: what they tell, and an example; browsers of other origins read them."""


def add_headers(response: Response) -> None:
    """Add the security headers; nothing but a file of ours may be kept by a cache."""
    response.headers.update(ALWAYS)
    if request.endpoint == assets.ENDPOINT and response.status_code < 400:
        response.headers["Cache-Control"] = assets.cache_control(request)
    else:
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Authorization", "Cookie", "Origin"))
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = YEAR
