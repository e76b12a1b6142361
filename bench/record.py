"""Print what two creates send to PostgreSQL, the statements prepared for it, and a token.

Run in the application's environment, the first owner's password on the standard input.
"""

import json
import secrets
import sys
from typing import Any

from flask.testing import FlaskClient
from psycopg2.extensions import cursor

import config
from bench.load import PATH
from pipelabs import create_app


class Recorder(cursor):
    """A cursor that records what it sends, values included."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the library's name
        """Send and record a statement."""
        super().execute(query, vars)
        SENT.append((self.query or b"").decode())


SENT: list[str] = []


OPTIONS: dict[str, Any] = config.Production.SQLALCHEMY_ENGINE_OPTIONS


class Recorded(config.Production):
    """The production settings, with cursors that record what they send."""

    SQLALCHEMY_ENGINE_OPTIONS = OPTIONS | {
        "connect_args": OPTIONS["connect_args"] | {"cursor_factory": Recorder}
    }


def main(email: str, password: str) -> None:
    """Print the token of a new session and what two creates sent, as one JSON line."""
    client = create_app(Recorded).test_client()
    body = {"email": email, "password": password}
    token = json.loads(client.post("/api/auth/login", json=body).text)["access_token"]
    _create(client, token)
    prepared = [text for text in SENT if text.startswith("PREPARE")]
    both = [_create(client, token) for _ in range(2)]
    print(json.dumps({"token": token, "prepared": prepared, "statements": both}))


def _create(client: FlaskClient, token: str) -> list[str]:
    """Create a client. Return what was sent for it."""
    before = len(SENT)
    digits = secrets.token_hex(20)
    body = {
        "name": "Client Name",
        "wallet_address": f"0x{digits}",
        "email": f"{digits}@example.com",
        "tier": "Premium",
        "notes": "High volume trader",
    }
    response = client.post(PATH, json=body, headers={"Authorization": f"Bearer {token}"})
    if response.status_code != 201:
        sys.exit(f"A create was answered {response.status_code}: {response.text}")
    return SENT[before:]


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read().strip())
