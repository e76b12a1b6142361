"""The admins who make the calls: many of them, in turn, so that each spends little of its budgets.

Redis keeps the time of each hit, as many as a budget allows. With production's budgets of 20 and
100 calls a list has at most that many; with one admin and a budget that no load exhausts it would
have thousands, and counting them would be most of what is measured.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import jwt
import psycopg2

ADMINS = 200
CREATE_LIMIT, GENERAL_LIMIT = "20/second", "100/second"
"""Production's amounts, a minute there. 200 admins can create 4,000 clients a second."""
FILL = """
WITH added AS (
    INSERT INTO admins (id, created_at, email, role, password_hash, is_disabled, token_version,
                        must_change_password)
    SELECT gen_random_uuid(), now(), 'caller' || n || '@desk.local', 'operator', password_hash,
           false, 1, false
    FROM admins, generate_series(1, %s) n WHERE email = %s
    RETURNING id
)
INSERT INTO sessions (id, created_at, admin_id, address, user_agent, refresh_jti, renewed_at,
                      seen_at, expires_at)
SELECT gen_random_uuid(), now(), id, '127.0.0.1', '', gen_random_uuid(), now(), now(),
       now() + interval '12 hours'
FROM added RETURNING admin_id::text AS sub, id::text AS sid
"""
"""All have the owner's password, because hashing one takes as long as fifty creates."""


@dataclass(frozen=True)
class Callers:
    """Signs access tokens like `issued`, which the application signed for the owner's session.

    `sessions` has subject and session of each other admin. A token lasts 15 minutes, a bench
    longer, so tokens are signed when they are needed.
    """

    issued: str = field(repr=False)
    secret: str = field(repr=False)
    sessions: Sequence[dict[str, str]]

    @classmethod
    def add(cls, url: str, owner: str, issued: str, secret: str) -> Self:
        """Add the admins and their sessions to the database."""
        with (
            closing(psycopg2.connect(url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(FILL, (ADMINS, owner))
            return cls(issued, secret, [{"sub": sub, "sid": sid} for sub, sid in cursor.fetchall()])

    def owner(self) -> str:
        """Return a new token of the owner's session."""
        return self._sign({})

    def tokens(self) -> list[str]:
        """Return a new token of each other admin."""
        return [self._sign(session) for session in self.sessions]

    def forged(self) -> str:
        """Return a token of the owner's session that is signed with another key."""
        return self._sign({}, self.secret[::-1])

    def _sign(self, session: dict[str, str], secret: str = "") -> str:
        claims: dict[str, Any] = jwt.decode(self.issued, options={"verify_signature": False})
        lifetime_s, now = claims["exp"] - claims["iat"], int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + lifetime_s}
        return jwt.encode(claims | session | times | {"jti": str(uuid4())}, secret or self.secret)
