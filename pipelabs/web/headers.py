"""The security headers of every response, and the header fields of the API.

CORS allows the request headers to other origins and exposes the response headers to them.
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)
VARIES = "Accept-Encoding"
"""What a response depends on that is the same for everybody."""
UNCACHED = (("Cache-Control", "no-store"), ("Vary", f"{VARIES}, Authorization, Cookie, Origin"))
KEPT_FOR_BACK = ("Cache-Control", "private, no-cache")
"""Of a form that was denied. Browsers show it again when one goes back to it, where a response that
must not be stored is an error page. It has what was typed, and no field for a secret."""
HSTS = "max-age=31536000"
STANDARD_REQUEST_HEADERS = ("Authorization", "Content-Type", "X-Request-ID")
"""What every call may send."""
REQUEST_HEADERS = {
    "Idempotency-Key": "Any text of your choice, such as `onboarding-4711`, unique for each"
    " creation. For 24 hours the same key with the same body returns the first response, so you can"
    " retry safely when you didn't get a response.",
    "If-Match": 'The `ETag` you last saw, such as `"1"`. Returns 412 if it has changed since, so'
    " that you don't overwrite another change. Without it the call applies to the current version.",
    "If-None-Match": 'The `ETag` of an earlier response, such as `"1"`. Returns 304 without a body'
    " if nothing has changed.",
    "X-Write-Position": "The `X-Write-Position` of a write that the response must show.",
}
"""Header fields that some calls read: description."""
RESPONSE_HEADERS = {
    "X-Request-ID": (
        "Identifies the request in the log and the audit trail. To choose it, send your own: 8 to"
        " 64 characters of `A-Za-z0-9._-`.",
        "eb766d15",
    ),
    "Location": ("The URL of the created resource.", "/api/admin/clients/31113ba9-…"),
    "ETag": ("The version of the resource. Send it back as `If-None-Match`.", '"1"'),
    "Idempotent-Replayed": ("`true` if this is the stored response to an earlier call.", "true"),
    "X-Write-Position": (
        "Where there is a replica: send it with a read that must show this write to another admin."
        " Your own reads show it anyway.",
        "25769803776.0f5c1d94a7e2b6c80f5c1d94a7e2b6c8",
    ),
    "Retry-After": ("Seconds to wait before the same call can succeed.", "17"),
    "RateLimit": (
        "The remaining calls (`r`) of each budget that the call counts against, and the seconds"
        " (`t`) until its oldest call leaves the window.",
        '"create";r=19;t=60, "general";r=99;t=60',
    ),
    "RateLimit-Policy": (
        "The limit (`q`) of each of these budgets in a window of `w` seconds.",
        '"create";q=20;w=60, "general";q=100;w=60',
    ),
    "X-RateLimit-Limit": ("The limit of the budget with the fewest calls left.", "20"),
    "X-RateLimit-Remaining": ("The remaining calls of that budget.", "19"),
    "X-RateLimit-Reset": ("When the oldest call leaves its window, in Unix time.", "1795387620"),
    "WWW-Authenticate": ("The authentication scheme.", 'Bearer realm="pipelabs"'),
}
"""Header fields of responses: description and example."""
EXPOSED_HEADERS = (*RESPONSE_HEADERS, "Allow")
"""`Allow` is only in responses that no operation has: to OPTIONS, and to an unknown method."""
