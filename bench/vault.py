"""The vault: encrypting and decrypting a key's credentials, and rotating the key ring."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from psycopg2.extras import execute_values

from bench.load import WrongAnswer
from bench.stage import Stage, run_python
from pipelabs.core.keyring import parse_ring
from pipelabs.models.api_keys import SIGNED
from pipelabs.models.envelopes import EncryptionContext
from pipelabs.vault.envelope import Secret, Vault
from pipelabs.vault.signing import encode

ENCRYPT = "encrypt one key's credentials, µs"
DECRYPT = "decrypt one key's credentials, µs"
ROTATION = "rotation of the ring, rows/s"
ROWS, FEWEST, ROTATIONS = 10_000, 1_000, 3
TIMES = 2_000
EXCHANGE = "okx"
DOCUMENT = Secret(
    json.dumps(
        {
            "api_key": "3f2a6b1c-90d4-4e8b-8a77-5d1c0e6f9b24",
            "api_secret": "9C1E5A7B3D2F8064B1C9E7A5D3F10862",
            "passphrase": "a quiet evening",
        }
    )
)
ONE_CLIENT = "SELECT id FROM clients WHERE status = 'active' ORDER BY id LIMIT 1"
FILL = """
INSERT INTO exchange_api_keys (id, created_at, updated_at, client_id, exchange, label, is_testnet,
                               ip_note, stage, status, last_four, fingerprint, fields, credentials,
                               kek_version, permissions, version, examined_at, mac)
VALUES %s
"""
ROW = (
    "(%(id)s, now(), now(), %(client)s, %(exchange)s, %(id)s, false, '', 'live', 'verified', '',"
    " '', '{}', %(envelope)s, %(version)s, '{}', 1, %(examined_at)s, %(mac)s)"
)
SIGNED_VALUES = dict.fromkeys(SIGNED) | {
    "exchange": EXCHANGE,
    "is_testnet": False,
    "ip_note": "",
    "stage": "live",
    "status": "verified",
    "last_four": "",
    "fingerprint": "",
    "fields": [],
    "permissions": {},
    "version": 1,
}
VERSIONS = "SELECT kek_version, count(*) FROM exchange_api_keys GROUP BY 1"


def play(stage: Stage, share: float = 1) -> dict[str, float]:
    """Return how long encryption and decryption take, and how many rows a rotation re-wraps."""
    vault = make_vault(stage)
    context = EncryptionContext(uuid4(), uuid4(), EXCHANGE, "credentials")
    envelope = vault.encrypt(DOCUMENT, context)
    return {
        ENCRYPT: median_us(lambda: vault.encrypt(DOCUMENT, context)),
        DECRYPT: median_us(lambda: vault.decrypt(envelope, context)),
        ROTATION: _rotation(stage, vault, max(int(ROWS * share), FEWEST)),
    }


def make_vault(stage: Stage) -> Vault:
    """Return the vault of the stage's key ring."""
    return Vault(parse_ring(stage.environment["VAULT_KEYS"]))


def median_us(act: Callable[[], object]) -> float:
    """Return the median of what many calls take, in microseconds."""
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        act()
        times.append((time.perf_counter() - begun) * 1e6)
    return median(times)


def _rotation(stage: Stage, vault: Vault, count: int) -> float:
    """Rotate `count` rows a few times; return the median rate, without the command's start."""
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        fill_keys(cursor, vault, count)
        cursor.execute("VACUUM ANALYZE exchange_api_keys")
        rates, ring = [], stage.environment["VAULT_KEYS"]
        for version in range(2, ROTATIONS + 2):
            ring = f"{version}:{base64.b64encode(secrets.token_bytes(32)).decode()},{ring}"
            environment = {**stage.environment, "VAULT_KEYS": ring}
            output = run_python(environment, ["-m", "bench.rotate"])
            rates.append(count / float(output.split()[-1]))
            cursor.execute(VERSIONS)
            if (versions := cursor.fetchall()) != [(version, count)]:
                raise WrongAnswer(f"After a rotation to {version} there are {versions}:\n{output}")
    return median(rates)


def fill_keys(
    cursor: Any, vault: Vault, count: int, examined_at: datetime | None = None
) -> list[str]:
    """Add verified keys of one client, and return their ids."""
    cursor.execute(ONE_CLIENT)
    [client] = cursor.fetchone() or [""]
    rows = list(_rows(vault, UUID(client), count, examined_at))
    execute_values(cursor, FILL, rows, ROW, page_size=1000)
    return [row["id"] for row in rows]


def _rows(
    vault: Vault, client: UUID, count: int, examined_at: datetime | None
) -> Iterator[Mapping[str, Any]]:
    for _ in range(count):
        record = uuid4()
        envelope = vault.encrypt(
            DOCUMENT, EncryptionContext(record, client, EXCHANGE, "credentials")
        )
        signed = SIGNED_VALUES | {
            "id": record,
            "client_id": client,
            "label": str(record),
            "examined_at": examined_at,
        }
        yield {
            "id": str(record),
            "client": str(client),
            "mac": vault.sign(encode(signed)),
            "exchange": EXCHANGE,
            "envelope": envelope.blob,
            "version": envelope.kek_version,
            "examined_at": examined_at,
        }
